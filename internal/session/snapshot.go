package session

import (
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// Snapshot is what the manager holds for a request at one moment.
type Snapshot struct {
	frames   map[string]string
	deadline time.Time
	Modified bool
	ended    bool // by Destroy
	renewed  bool // by RenewToken
	Persist  bool // by RememberMe
}

// Snap returns what the manager holds for q. Values are encoded under its lock, which is not held
// while the store is written.
func (q *Request) Snap() (Snapshot, error) {
	q.mu.Lock()
	loaded, deleted := q.data.loaded, q.data.deleted
	q.data.deleted = false
	q.mu.Unlock()
	if loaded == nil {
		return Snapshot{}, nil
	}
	a := q.Sessions
	if !deleted && a.Manager.Status(q.Outer) == scs.Unmodified {
		return Snapshot{}, nil
	}
	var sn Snapshot
	c := *a.Manager
	h := &handover{encode: func(deadline time.Time, vs map[string]any) (err error) {
		sn, err = takeSnapshot(deadline, vs, deleted)
		return err
	}}
	c.Store, c.Codec, c.IdleTimeout = h, h, 0
	if _, _, err := c.Commit(q.Outer); err != nil {
		return Snapshot{}, err
	}
	return sn, nil
}

// takeSnapshot encodes vs. The manager's lock is held.
func takeSnapshot(deadline time.Time, vs map[string]any, deleted bool) (Snapshot, error) {
	sn := Snapshot{deadline: deadline, Modified: true, frames: make(map[string]string, len(vs))}
	if deleted {
		_, marked := vs[deletion]
		sn.renewed, sn.ended = marked, !marked
		delete(vs, deletion)
	}
	var b []byte
	for k, v := range vs {
		var err error
		if b, err = values.Append(b[:0], v); err != nil {
			return Snapshot{}, fmt.Errorf("middleware: session value %q: %w", k, err)
		}
		sn.frames[k] = string(b)
	}
	remember, _ := vs[rememberMe].(bool)
	sn.Persist = remember
	return sn, nil
}

// deletion marks the map in a call of Destroy or RenewToken, which both begin by deleting:
// afterwards Destroy has emptied the map, RenewToken has not.
const deletion = "\x00deletion"

const rememberMe = "__rememberMe" // where scs keeps it

// Diff returns the fields that differ from base, and the names of those that are gone.
func (sn *Snapshot) Diff(base map[string]string) (set []sessionstore.Field, del []string) {
	if !sn.Modified {
		return nil, nil
	}
	for k, frame := range sn.frames {
		if old, ok := base[k]; !ok || old != frame {
			set = append(set, sessionstore.Field{Name: prefixApp + k, Value: frame, Version: env.Version()})
		}
	}
	for k := range base {
		if _, ok := sn.frames[k]; !ok {
			del = append(del, prefixApp+k)
		}
	}
	return set, del
}
