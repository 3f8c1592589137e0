package redisstore

import (
	"net"

	"github.com/gomodule/redigo/redis"
)

// Reading returns a connection as [Server.Dial] makes them, over c.
func Reading(c net.Conn, max int) redis.Conn {
	g := newGuarded(c, max)
	return reading(redis.NewConn(g, 0, 0), g, "")
}
