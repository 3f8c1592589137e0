//go:build !unix

package redisstore

import "syscall"

// peek cannot look without waiting.
func peek(syscall.RawConn) (pending, ended bool) { return false, false }
