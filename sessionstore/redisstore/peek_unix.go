//go:build unix

package redisstore

import "syscall"

// peek looks at what the socket has received, and takes nothing.
func peek(raw syscall.RawConn) (pending, ended bool) {
	// Not raw.Read: it gives up when the deadline of the reply before this has passed.
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		for {
			n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK:
			case err != nil || n == 0:
				ended = true
			default:
				pending = true
			}
			return
		}
	})
	return pending, ended || err != nil
}
