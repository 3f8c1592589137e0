package login

import (
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	ourstore "github.com/returnleg/returnleg/sessionstore/redisstore"
)

// OnRedis returns the contenders that keep sessions in the Redis of pool, behind the hand-written
// one that they are compared with, which keeps none. Ours are sealed.
func OnRedis(p *Provider, pool *redis.Pool) ([]*Contender, error) {
	base, err := HandWritten(p)
	if err != nil {
		return nil, err
	}
	store := ourstore.New(pool)
	store.Prefix = "login:"
	own, err := ours(p, "returnleg on Redis", store, sessionstore.NewKeyring())
	if err != nil {
		return nil, err
	}
	sessions := scs.New()
	sessions.Store = redisstore.NewWithPrefix(pool, "scs:login:")
	peer, err := handWrittenSCS(p, "hand-written, scs + redisstore", sessions)
	if err != nil {
		return nil, err
	}
	return []*Contender{base, own, peer}, nil
}
