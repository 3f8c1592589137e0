//go:build !sql

package main

import "context"

// withSQL reports whether this program has drivers of databases in SQL.
const withSQL = false

// openSQL opens no database: checkDriver says how to get a program that does.
func openSQL(_ context.Context, s string) (backend, error) { return backend{}, checkDriver(s) }
