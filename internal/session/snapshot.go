package session

import (
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Snapshot is what the manager holds for a request at one moment. The zero value says that nothing was
// changed.
type Snapshot struct {
	frames   map[string]string // the values as they are stored, by key
	deadline time.Time
	Modified bool // the app has changed something
	ended    bool // the app has called Destroy
	renewed  bool // the app has called RenewToken
	Persist  bool // the app has called RememberMe(true)
}

// Snap returns what the manager holds for q. The values are encoded under the manager's lock, which is not held
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

// takeSnapshot encodes vs. The caller holds the manager's lock.
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

// deletion marks the map of values during Destroy and RenewToken, which both delete the session in the store
// first. Afterwards, Destroy has emptied the map, and RenewToken has not.
const deletion = "\x00deletion"

const rememberMe = "__rememberMe" // the key of scs for RememberMe

// Diff returns the fields of values that differ from base, and the names of the fields whose values are gone.
// base has the stored values by key.
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
