package env

import (
	"context"
	"crypto/sha256"
	"io"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/internal/background"
	"github.com/returnleg/returnleg/internal/eventlog"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// An Env is what all rooms of the kit share: the store, the keys, the clock, the random source, the log and
// the work in the background. Tests replace parts of it after [New], so that it is shared by pointer.
type Env struct {
	Store   sessionstore.Store
	Ring    []keys.Secrets
	Site    Site
	Clock   func() time.Time
	Random  io.Reader
	stamped atomic.Int64 // see stamp

	Log        *eventlog.Log
	Background *background.Group
}

// Fill fills b with random bytes.
func (a *Env) Fill(b []byte) error {
	_, err := io.ReadFull(a.Random, b)
	return err
}

// RandomText returns n random bytes as text. A source that fails is an error, never a weaker value.
func (a *Env) RandomText(n int) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(a.Random, b[:n]); err != nil {
		return "", err
	}
	return keys.Text(b[:n]), nil
}

// Seed returns what one sealed message derives from.
func (a *Env) Seed() (seed [16]byte, err error) {
	_, err = io.ReadFull(a.Random, seed[:])
	return seed, err
}

func (a *Env) Key(id byte) *keys.Secrets {
	for i := range a.Ring {
		if a.Ring[i].ID == id {
			return &a.Ring[i]
		}
	}
	return nil
}

// Stamp returns the time in microseconds, later than floor and than every one that it has returned: what
// follows one another has an order, also where the clock stands still for a moment or is behind that of
// another process.
func (a *Env) Stamp(now time.Time, floor int64) int64 {
	t := max(now.UnixMicro(), floor+1)
	for {
		last := a.stamped.Load()
		next := t
		if last >= t && last-t < time.Minute.Microseconds() { // a clock that was put back is not followed for ever
			next = last + 1
		}
		if a.stamped.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Site is what sessions, accounts and sign-outs belong to. Two sites may share a store and its keys. A record that one
// of them stores has a name that the other does not compute, what one gives to browsers is derived from
// another key, and a session, whose id anybody may show, says in its record whose it is.
type Site struct {
	name string
	Tag  string // of 8 bytes, for records
	Own  string // the value of the field that makes a record a session of the site
}

func NewSite(name string) Site {
	h := sha256.Sum256(packed.AppendString([]byte("site"), name))
	return Site{name: name, Tag: string(h[:8]), Own: string(packed.AppendString(nil, string(h[:8])))}
}

// ID returns the name of a record that belongs to the site, of what tells it from others of its kind.
func (s *Site) ID(parts ...string) string {
	var short [256]byte
	b := packed.AppendString(short[:0], s.name)
	for _, p := range parts {
		b = packed.AppendString(b, p)
	}
	h := sha256.Sum256(b)
	return keys.Text(h[:])
}
