// Package check judges the configuration of an app.
//
// It promises that each mistake is named, and that all of them are reported together: see [Mistakes]. The package
// middleware puts its own Config together from these checks.
package check
