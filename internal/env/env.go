package env

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/internal/background"
	"github.com/returnleg/returnleg/internal/eventlog"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// An Env is the environment that all rooms share. It is shared by pointer: tests replace its parts after the
// app was made.
type Env struct {
	Store   sessionstore.Store
	Ring    []keys.Secrets // of each key of the ring; the first seals, all open
	Site    Site
	Clock   func() time.Time
	Random  io.Reader
	stamped atomic.Int64 // what Stamp returned last

	Log        *eventlog.Log
	Background *background.Group
}

// Fill fills b with random bytes.
func (e *Env) Fill(b []byte) error {
	_, err := io.ReadFull(e.Random, b)
	return err
}

// RandomText returns n random bytes, at most 32, as text. A source that fails is an error, never a weaker
// value.
func (e *Env) RandomText(n int) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(e.Random, b[:n]); err != nil {
		return "", err
	}
	return keys.Text(b[:n]), nil
}

// Seed returns the random bytes that a sealed message derives its keys from.
func (e *Env) Seed() (seed [16]byte, err error) {
	_, err = io.ReadFull(e.Random, seed[:])
	return seed, err
}

// Key returns the secrets of the key with that id; nil if the ring has none.
func (e *Env) Key(id byte) *keys.Secrets {
	for i := range e.Ring {
		if e.Ring[i].ID == id {
			return &e.Ring[i]
		}
	}
	return nil
}

// Stamp returns the time now in microseconds, but later than floor and than every stamp that it has returned.
// So events that follow each other have an order, also where the clock stands still or is behind that of
// another process.
func (e *Env) Stamp(now time.Time, floor int64) int64 {
	t := max(now.UnixMicro(), floor+1)
	for {
		last := e.stamped.Load()
		next := t
		if last >= t && last-t < time.Minute.Microseconds() { // after a clock was put back by a minute or more, stamps go back, too
			next = last + 1
		}
		if e.stamped.CompareAndSwap(last, next) {
			return next
		}
	}
}
