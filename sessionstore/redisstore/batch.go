package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
)

var (
	_ sessionstore.BatchLoader  = (*Store)(nil)
	_ sessionstore.BatchUpdater = (*Store)(nil)
)

// plain hides what else a store can do.
type plain struct{ sessionstore.Store }

// LoadAll implements [sessionstore.BatchLoader]. It is one HGETALL for each key, a hundred of which are
// sent together; those of a cluster are loaded a few at a time.
func (s *Store) LoadAll(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	for _, k := range ks {
		if err := k.Validate(); err != nil {
			return nil, err
		}
	}
	rs := make([]sessionstore.Record, 0, len(ks))
	for part := range slices.Chunk(ks, batch) {
		loaded, err := s.loadPart(ctx, part)
		if errors.Is(err, errSpread) {
			return sessionstore.LoadAll(ctx, plain{s}, ks)
		}
		if err != nil {
			return nil, err
		}
		rs = append(rs, loaded...)
	}
	return rs, nil
}

func (s *Store) loadPart(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	rs := make([]sessionstore.Record, len(ks))
	send := func(c redis.Conn) error {
		for _, k := range ks {
			if err := c.Send("HGETALL", s.name(k)); err != nil {
				return err
			}
		}
		return nil
	}
	receive := func(i int, reply any, err error) error {
		if err != nil {
			return err
		}
		var h hash
		found, err := h.read(ks[i], reply)
		if err == nil && found {
			rs[i], err = h.record()
		}
		if err == nil && !found {
			rs[i] = sessionstore.Record{}
		}
		return err
	}
	err := s.pipe(ctx, &pipeline{op: "load", n: len(ks), repeatable: true, send: send, receive: receive})
	return rs, err
}

// UpdateAll implements [sessionstore.BatchUpdater]. It is one EVALSHA for each change, a hundred of which
// are sent together; those of a cluster are sent a few at a time.
func (s *Store) UpdateAll(ctx context.Context, us []sessionstore.KeyedChange) []error {
	errs := make([]error, len(us))
	var places []int
	for i := range us {
		if errs[i] = us[i].Key.Validate(); errs[i] == nil {
			errs[i] = us[i].Change.Validate()
		}
		if errs[i] == nil {
			places = append(places, i)
		}
	}
	for part := range slices.Chunk(places, batch) {
		s.updatePart(ctx, us, part, errs)
	}
	return errs
}

// updatePart makes the changes of a part, and notes what came of each.
func (s *Store) updatePart(ctx context.Context, us []sessionstore.KeyedChange, part []int, errs []error) {
	if !s.scripted.Load() || len(part) == 1 {
		// The first by itself: from then on the server knows the script.
		errs[part[0]] = s.Update(ctx, us[part[0]].Key, us[part[0]].Change)
		s.scripted.Store(true)
		part = part[1:]
	}
	if len(part) == 0 {
		return
	}
	answered := 0
	changed, unknown := false, []int(nil)
	send := func(c redis.Conn) error {
		for _, i := range part {
			if err := c.Send("EVALSHA", arguments(s.name(us[i].Key), us[i].Key, &us[i].Change)...); err != nil {
				return err
			}
		}
		return nil
	}
	receive := func(n int, reply any, err error) error {
		i := part[n]
		answered = n + 1
		switch {
		case codeOf(err) == "NOSCRIPT":
			unknown = append(unknown, i)
		case err != nil:
			errs[i] = failed("update", err)
		default:
			if err := checkVerdict(reply); err != nil {
				return err
			}
			errs[i] = verdicts[reply.(int64)]
			changed = changed || errs[i] == nil
		}
		return nil
	}
	confirm := func(c redis.Conn, deadline time.Time) error {
		if !changed {
			return nil
		}
		q := query{op: "update", script: true, replicas: s.Replicas}
		return q.replicate(c, int64(0), deadline)
	}
	err := s.pipe(ctx, &pipeline{op: "update", n: len(part), send: send, receive: receive, confirm: confirm})
	switch {
	case errors.Is(err, errSpread) && len(part) <= fewChanges:
		var others sync.WaitGroup
		for _, i := range part[1:] {
			others.Go(func() { errs[i] = s.Update(ctx, us[i].Key, us[i].Change) })
		}
		errs[part[0]] = s.Update(ctx, us[part[0]].Key, us[part[0]].Change)
		others.Wait()
		return
	case errors.Is(err, errSpread):
		some := make([]sessionstore.KeyedChange, len(part))
		for n, i := range part {
			some[n] = us[i]
		}
		for n, err := range sessionstore.UpdateAll(ctx, plain{s}, some) {
			errs[part[n]] = err
		}
		return
	case err != nil && answered == len(part): // its replicas have not confirmed what was made
		for _, i := range part {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	case err != nil:
		for _, i := range part[answered:] {
			errs[i] = err
		}
	}
	for _, i := range unknown {
		errs[i] = s.Update(ctx, us[i].Key, us[i].Change)
	}
}

// fewChanges is how many changes of a cluster's records are all sent side by side.
const fewChanges = 4

// errSpread is a pool of a cluster's: its records are on several nodes.
var errSpread = errors.New("connection of a cluster")

// A pipeline is a number of commands that are sent together.
type pipeline struct {
	op         string
	n          int
	repeatable bool
	send       func(redis.Conn) error
	receive    func(i int, reply any, err error) error
	confirm    func(c redis.Conn, deadline time.Time) error // nil: nothing is to be confirmed
}

// pipe runs p on a connection of the pool, and on another one where that is safe.
func (s *Store) pipe(ctx context.Context, p *pipeline) error {
	if s.pool == nil {
		return failed(p.op, errNoPool)
	}
	if !s.breaker.enter() {
		return failed(p.op, errAway)
	}
	deadline := time.Now().Add(s.timeout())
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	var err error
	for stale, broken := 0, 0; ; {
		err = s.pipeOn(ctx, p, deadline)
		switch {
		case errors.Is(err, errStale) && stale < maxStale:
			stale++
		case p.repeatable && isBroken(err) && broken < maxBroken:
			broken++
		case errors.Is(err, errSpread):
			s.breaker.leave(ctx, nil)
			return err
		default:
			if err != nil {
				err = failed(p.op, err)
			}
			s.breaker.leave(ctx, err)
			return err
		}
		if !time.Now().Before(deadline) || ctx.Err() != nil {
			err = failed(p.op, err)
			s.breaker.leave(ctx, err)
			return err
		}
	}
}

func (s *Store) pipeOn(ctx context.Context, p *pipeline, deadline time.Time) error {
	c, err := s.borrow(ctx, deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, cluster := c.(binder); cluster {
		return errSpread
	}
	if err := p.send(c); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	var failure error
	for i := range p.n {
		// Each reply is read, whatever the one before it says, to keep in step.
		reply, err := redis.ReceiveWithTimeout(c, max(time.Until(deadline), time.Nanosecond))
		_, server := err.(redis.Error)
		if err != nil && !server {
			return err
		}
		if isDeadEnd(codeOf(err)) {
			defer drop(c)
		}
		if err := p.receive(i, reply, err); err != nil && failure == nil {
			failure = err
		}
	}
	if failure == errReply {
		drop(c)
	}
	if failure != nil || p.confirm == nil {
		return failure
	}
	return p.confirm(c, deadline)
}
