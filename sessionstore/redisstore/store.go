// Package redisstore keeps the records of package sessionstore in Redis, through redigo: each
// record is one hash, loaded by one command, changed by one script and deleted by one command. No
// command touches two keys, so that a cluster will do.
//
//	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://localhost:6379"})
//	…
//	store := redisstore.New(pool)
//
// Package middleware seals what it keeps here, with the Keys of its Config. Whoever uses the store
// without it wraps it in [sessionstore.Sealed].
//
// Set the server's maxmemory-policy to noeviction: with another one, Redis ends sessions to make
// room for others. Turn on appendonly if a restart may not sign everybody out.
package redisstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
)

// A Pool lends connections. A [*redis.Pool] is one, best made by [NewPool]. So is the Cluster of
// github.com/mna/redisc, whose connections are bound to the node of the record's key, and whose method
// Refresh is called, once a second at most, while a node does not answer.
//
// If the pool has a method GetContext, as [*redis.Pool] does, it is called instead of Get, with a
// context that ends when the time of the operation is up. Connections must have timeouts for
// dialing and writing, and support [redis.ConnWithTimeout]. The store closes each connection that
// it was lent. Those that [NewPool] or [Server.Dial] made load a record with eight
// allocations, however many fields it has; others make four more of each field.
type Pool interface {
	Get() redis.Conn
}

// A Store is a [sessionstore.Store] in Redis 4 or later. Set its fields before the first use.
//
// A record ends when the server's clock has reached its end, whatever the clocks of the app's
// replicas say. Those only choose ends: a replica whose clock is two minutes behind the server's
// makes records that end two minutes early.
//
// Redis has no budgets for parts of its memory: tiers make no difference here. It acknowledges a
// change before its replicas have it, and so a failover may lose the last ones, deletions
// included; see Replicas. A master that is cut off from its replicas takes changes that are lost later,
// unless the servers' own min-replicas-to-write is 1 or more.
//
// What fails is [sessionstore.ErrUnavailable], [sessionstore.ErrOverloaded],
// [sessionstore.ErrMisconfigured] or [sessionstore.ErrFull]. An Update that ends in
// ErrUnavailable may have been made or not. Errors hold the first word of what the server
// answered and no more of it, because servers repeat arguments in their answers.
//
// When no operation has been answered for a second, and five or more were tried, the next ones fail
// at once with ErrUnavailable, except one a second that finds out. The first answer ends that. So a
// server that hangs holds Timeout's worth of requests and not all of them, and nobody has to restart
// anything when it is back.
type Store struct {
	// Prefix begins the name of each key; what follows is kind, ":" and id. Empty: "rl:". Apps
	// that share a database need one each.
	Prefix string

	// Timeout bounds each operation: waiting for a connection, dialing, repeating and all
	// commands together. A context's deadline may only shorten it. A context that is canceled
	// while the server is asked does not close the connection; the answer is awaited. A Delete has
	// this long for each hundred keys. The first operations that a cluster does not answer may take
	// as long as its own timeouts for a connection, one node after the other. 0: 1 s.
	Timeout time.Duration

	// Replicas is how many replicas must have a change before Update and Delete return. Each change
	// then takes a round trip to the replicas, too. If fewer have it when the time is up, that is
	// [sessionstore.ErrUnavailable]: the master has the change, and a failover may lose it.
	//
	// A failover loses nothing that was confirmed if the replica that takes over is one of those that
	// had it. That is certain only if Replicas is the number of all replicas of a master: WAIT
	// counts any of them, and Redis promotes one that it chooses. The price is that changes are
	// unavailable while one of them is away, and after a failover until the former master is back.
	// With fewer, the one that has most of a dead master's changes takes over as a rule, and then
	// nothing is lost either; but Sentinel prefers a lower replica-priority, and a planned
	// failover does not ask who has most. For that, [Server.Sentinels] waits while it lasts. One
	// replica more than Replicas should run, or one that is away stops all changes.
	//
	// 0: none; a failover from a master that died may lose what it confirmed in its last moments.
	Replicas int

	// Dial reaches the node of a cluster that holds a record while its slot is moved, which is
	// the only time that it is called; [Server.Dial] fits. Nil: meanwhile, records that have
	// moved already are ErrUnavailable.
	Dial func(ctx context.Context, addr string) (redis.Conn, error)

	pool    Pool
	breaker breaker
	refresh refresh

	scripted atomic.Bool // a change was sent before: the server most likely knows the script
}

var (
	_ sessionstore.Store  = (*Store)(nil)
	_ sessionstore.Pinger = (*Store)(nil)
)

// New returns a store that keeps its records where the connections of p lead. Without one, every
// operation is [sessionstore.ErrMisconfigured].
func New(p Pool) *Store {
	if p, ok := p.(*redis.Pool); ok && p == nil {
		return &Store{}
	}
	return &Store{pool: p}
}

// Load implements [sessionstore.Store]. It is one HGETALL.
func (s *Store) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if err := k.Validate(); err != nil {
		return sessionstore.Record{}, err
	}
	l := newLoad(k, s.name(k))
	if _, err := s.ask(ctx, &l.query); err != nil {
		return sessionstore.Record{}, err
	}
	if !l.found {
		return sessionstore.Record{}, sessionstore.ErrNotFound
	}
	return l.record, nil
}

// Update implements [sessionstore.Store]. It is one EVALSHA.
func (s *Store) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	q := query{op: "update", key: s.name(k), command: "EVALSHA", script: true, replicas: s.Replicas, check: checkVerdict}
	q.args = arguments(q.key, k, &c)
	reply, err := s.ask(ctx, &q)
	if err != nil {
		return err
	}
	return verdicts[reply.(int64)]
}

// Delete implements [sessionstore.Store]. It is one DEL for each key. The keys of a cluster are
// deleted one after the other; others are sent together, a hundred at a time. If the connection ends
// before the answer is there, they are sent once more: a record that was made anew in between goes, too.
func (s *Store) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	for _, k := range ks {
		if err := k.Validate(); err != nil {
			return err
		}
	}
	for len(ks) > 0 {
		n := min(len(ks), batch)
		q := query{op: "delete", key: s.name(ks[0]), command: "DEL", repeatable: true, replicas: s.Replicas, check: checkCount}
		q.args = []any{q.key}
		for _, k := range ks[1:n] {
			q.more = append(q.more, s.name(k))
		}
		if _, err := s.ask(ctx, &q); err != nil {
			return err
		}
		ks = ks[n:]
	}
	return nil
}

// batch is how many deletions are sent before the first is answered.
const batch = 100

// Ping asks the server, or one node of a cluster, whether it is there. It returns an error as the
// other methods do.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.ask(ctx, &query{op: "ping", command: "PING", repeatable: true, check: checkPong})
	return err
}

func (s *Store) name(k sessionstore.Key) string {
	prefix := s.Prefix
	if prefix == "" {
		prefix = "rl:"
	}
	return prefix + k.Kind + ":" + k.ID
}

func (s *Store) timeout() time.Duration {
	if s.Timeout <= 0 {
		return time.Second
	}
	return s.Timeout
}
