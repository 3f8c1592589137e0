package capacity

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/bench/internal/clock"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Stop is how long the slowest of many changes of a store took while sessions expired. Whoever
// needs the same lock waits so long.
type Stop struct {
	Wall time.Duration // other programs of the machine may be in it
	CPU  time.Duration // of the thread that made the change
	Idle time.Duration // Wall of as many changes with nothing to sweep: what the machine does by itself
}

// rest is how long the sessions to expire are kept, at least, after the last one was made.
const rest = 200 * time.Millisecond

// errSlow is a machine that was too busy: sessions expired before all of them were made.
var errSlow = errors.New("capacity: sessions expired too early")

// patiently measures with more and more time to make the sessions in.
func patiently(n int, measure func(n int, making time.Duration) (Stop, error)) (Stop, error) {
	making := time.Duration(n) * 8 * time.Microsecond
	for {
		s, err := measure(n, making)
		if err != errSlow || making > 5*time.Minute {
			return s, err
		}
		making *= 2
	}
}

// OurStop makes n sessions, lets all of them expire, and makes and ends others until they are gone:
// each change takes some of them away.
func OurStop(n int) (Stop, error) { return patiently(n, ourStop) }

func ourStop(n int, making time.Duration) (Stop, error) {
	m := &sessionstore.Memory{MaxBytes: room, MaxGuestBytes: room}
	ctx := context.Background()
	end := time.Now().Add(making + rest)
	for i := range n {
		if err := m.Update(ctx, session(i), change(end)); err != nil {
			return Stop{}, err
		}
	}
	if time.Now().After(end) {
		return Stop{}, errSlow
	}
	time.Sleep(time.Until(end))
	made := n
	touch := func() error {
		k := session(made) // in another shard each time, as the traffic of a site is
		made++
		if err := m.Update(ctx, k, change(time.Now().Add(time.Hour))); err != nil {
			return err
		}
		return m.Delete(ctx, k)
	}
	s, err := slowest(func() (more bool, err error) {
		err = touch()
		members, _ := m.Used()
		return members > 0, err
	})
	if err != nil {
		return Stop{}, err
	}
	left := made - n
	idle, err := slowest(func() (more bool, err error) {
		left--
		return left > 0, touch()
	})
	s.Idle = idle.Wall
	return s, err
}

// SCSStop does the same with scs's memstore, whose sweep takes all of them away at once.
func SCSStop(n int) (Stop, error) { return patiently(n, scsStop) }

func scsStop(n int, making time.Duration) (Stop, error) {
	value := []byte("value")
	end := time.Now().Add(making + rest)
	sweep := time.Until(end) + rest
	m := memstore.NewWithCleanupInterval(sweep)
	defer m.StopCleanup()
	swept := time.Now().Add(sweep)
	for i := range n {
		if err := m.Commit(session(i).ID, value, end); err != nil {
			return Stop{}, err
		}
	}
	if time.Now().After(end) {
		return Stop{}, errSlow
	}
	time.Sleep(time.Until(swept) - rest/4)
	return slowest(func() (more bool, err error) {
		err = m.Commit("live", value, time.Now().Add(time.Hour))
		return time.Now().Before(swept.Add(2 * rest)), err
	})
}

// slowest does a change until there is nothing more to do, and returns the slowest time. The garbage
// collector is off: its stops are not the store's.
func slowest(do func() (more bool, err error)) (Stop, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var s Stop
	for {
		began, cpu := time.Now(), clock.Thread()
		more, err := do()
		if err != nil {
			return Stop{}, err
		}
		s.CPU = max(s.CPU, clock.Thread()-cpu)
		s.Wall = max(s.Wall, time.Since(began))
		if !more {
			return s, nil
		}
	}
}

func change(expires time.Time) sessionstore.Change {
	return sessionstore.Change{
		Mode: sessionstore.MustNotExist, Set: []sessionstore.Field{{Name: "v:key", Value: "value"}}, Expires: expires,
	}
}

func session(i int) sessionstore.Key {
	return sessionstore.Key{Kind: "session", ID: fmt.Sprintf("%022d", i)}
}
