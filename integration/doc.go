// Package integration tests returnleg with parts that nobody here wrote: a browser, and an identity
// provider. It is a module of its own, so that a program that uses returnleg downloads none of them.
//
// A test whose part is missing is skipped; with RETURNLEG_REQUIRE=1 in the environment it fails.
package integration
