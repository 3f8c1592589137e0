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
func (e *Env) Fill(b []byte) error {
	_, err := io.ReadFull(e.Random, b)
	return err
}

// RandomText returns n random bytes as text. A source that fails is an error, never a weaker value.
func (e *Env) RandomText(n int) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(e.Random, b[:n]); err != nil {
		return "", err
	}
	return keys.Text(b[:n]), nil
}

// Seed returns what one sealed message derives from.
func (e *Env) Seed() (seed [16]byte, err error) {
	_, err = io.ReadFull(e.Random, seed[:])
	return seed, err
}

func (e *Env) Key(id byte) *keys.Secrets {
	for i := range e.Ring {
		if e.Ring[i].ID == id {
			return &e.Ring[i]
		}
	}
	return nil
}

// Stamp returns the time in microseconds, later than floor and than every one that it has returned: what
// follows one another has an order, also where the clock stands still for a moment or is behind that of
// another process.
func (e *Env) Stamp(now time.Time, floor int64) int64 {
	t := max(now.UnixMicro(), floor+1)
	for {
		last := e.stamped.Load()
		next := t
		if last >= t && last-t < time.Minute.Microseconds() { // a clock that was put back is not followed for ever
			next = last + 1
		}
		if e.stamped.CompareAndSwap(last, next) {
			return next
		}
	}
}
