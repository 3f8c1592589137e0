package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A watch knows which server is the master, and lets a pool have connections to no other one. A server
// that was demoted may take itself for the master for ten seconds more: what it acknowledges then is
// lost. So it is not asked.
//
// While the pool is used, each source is asked again and again, in a goroutine of its own, which ends a
// few seconds after the last use: a pool has no end that could be told to anybody.
type watch struct {
	sources []source
	every   time.Duration // a source is asked
	limit   time.Duration // for one question
	log     *slog.Logger

	mu      sync.Mutex // guards what follows
	heard   []opinion  // of each source
	used    time.Time
	addr    string // of the master; "" until somebody has said it
	epoch   uint64 // of what said so
	moving  time.Time
	silent  bool          // no source answers
	changed chan struct{} // closed when something has been heard; nil if nobody waits
}

// A source says who the master is.
type source interface {
	ask(ctx context.Context) (view, error)
	close()
}

// An opinion is what a source has said last.
type opinion struct {
	view
	at   time.Time // when it was said; zero: never
	err  error     // of the last question; nil if it was answered
	runs bool      // somebody is asking
	done bool      // a question was answered, or was not, since it runs
}

const (
	sentinelsEvery = 50 * time.Millisecond // half of what passes at least from when they say that they will promote a replica
	addressEvery   = time.Second
	movingEvery    = 20 * time.Millisecond
	silence        = time.Second     // after which what is known may be wrong
	unused         = 3 * time.Second // after which nobody asks any more
	maxMoving      = 3 * time.Second // after which a failover that gets nowhere is let be
)

// Why a connection is not used.
var (
	errFormer = errors.New("server is the master no more")
	errMoving = errors.New("a replica is being promoted")
)

// newWatch returns the watch of s, or nil if its URL says all.
func newWatch(s Server) (*watch, error) {
	w := &watch{limit: s.timeout(), log: s.Logger}
	if w.log == nil {
		w.log = slog.Default()
	}
	switch {
	case len(s.Sentinels) > 0:
		sentinels, err := s.sentinels()
		if err != nil {
			return nil, err
		}
		w.sources, w.every = sentinels, sentinelsEvery
	case s.Address != nil:
		w.sources, w.every = []source{addressed(s.Address)}, addressEvery
	default:
		return nil, nil
	}
	w.heard = make([]opinion, len(w.sources))
	return w, nil
}

// addressed is a source that a caller has.
type addressed func(ctx context.Context) (string, error)

func (a addressed) ask(ctx context.Context) (view, error) {
	addr, err := a(ctx)
	return view{addr: addr}, err
}

func (addressed) close() {}

// master returns the address of the master. It waits while that is not known: at first, when nobody has
// asked for a while, and while a failover is under way.
func (w *watch) master(ctx context.Context) (string, error) {
	for {
		addr, changed, err := w.known(time.Now())
		if changed == nil {
			return addr, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// lead returns the address to dial. Address is asked each time: it may know more than a second ago.
func (w *watch) lead(ctx context.Context) (string, error) {
	a, ok := w.sources[0].(addressed)
	if !ok {
		return w.master(ctx)
	}
	v, err := a.ask(ctx)
	if err == nil {
		w.hear(0, v, nil)
	}
	return v.addr, err
}

// known returns what is known of the master now. If changed is not nil, it is worth to wait until that is
// closed: err says what for.
func (w *watch) known(now time.Time) (addr string, changed <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.use(now)
	switch {
	case w.isMoving(now):
		return "", w.wait(), errMoving
	case w.isFresh(now):
		return w.addr, nil, nil
	}
	var errs []error
	for i := range w.heard {
		if !w.heard[i].done {
			return "", w.wait(), errors.New("no answer yet")
		}
		errs = append(errs, w.heard[i].err)
	}
	if w.addr == "" {
		return "", nil, errors.Join(errs...)
	}
	return w.addr, nil, nil // those who would know do not answer: it is likely to be where it was
}

func (w *watch) wait() <-chan struct{} {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// isFresh reports whether a source has answered lately.
func (w *watch) isFresh(now time.Time) bool {
	if w.addr == "" {
		return false
	}
	for i := range w.heard {
		if w.isRecent(&w.heard[i], now) {
			return true
		}
	}
	return false
}

func (w *watch) isRecent(o *opinion, now time.Time) bool {
	return !o.at.IsZero() && now.Sub(o.at) <= silence+w.every
}

func (w *watch) isMoving(now time.Time) bool {
	return !w.moving.IsZero() && now.Sub(w.moving) < maxMoving
}

// use notes that the pool is used, and starts whoever does not run.
func (w *watch) use(now time.Time) {
	w.used = now
	for i := range w.heard {
		if o := &w.heard[i]; !o.runs {
			o.runs, o.done = true, false
			go w.run(i)
		}
	}
}

// run asks a source, until the pool is not used any more.
func (w *watch) run(i int) {
	for {
		v, err := w.ask(i)
		w.hear(i, v, err)
		rest, ok := w.next(i, err)
		if !ok {
			return
		}
		time.Sleep(rest)
	}
}

func (w *watch) ask(i int) (view, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.limit)
	defer cancel()
	return w.sources[i].ask(ctx)
}

// hear takes a source's answer.
func (w *watch) hear(i int, v view, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	o := &w.heard[i]
	o.done, o.err = true, err
	if err == nil {
		o.view, o.at = v, now
	}
	w.decide(now)
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// next returns after which time a source, which has answered or not, is asked again.
func (w *watch) next(i int, err error) (rest time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	switch {
	case now.Sub(w.used) > unused:
		w.heard[i].runs, w.heard[i].at = false, time.Time{} // whoever comes next asks first
		w.sources[i].close()
		return 0, false
	case err != nil:
		return max(w.every, silence), true
	case w.isMoving(now):
		return min(w.every, movingEvery), true
	}
	return w.every, true
}

// end makes those who ask stop.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = time.Time{}
}

// decide makes one of what the sources say. The latest configuration holds. One that is older than what
// was known holds only if more than half of the sources say it: they were set up anew, or have given up
// what one of them had begun. One alone has been cut off, and missed it.
func (w *watch) decide(now time.Time) {
	var best *opinion
	recent := 0
	for i := range w.heard {
		o := &w.heard[i]
		if !w.isRecent(o, now) {
			continue
		}
		recent++
		if best == nil || o.epoch > best.epoch {
			best = o
		}
	}
	w.listen(best != nil)
	if best == nil || best.epoch < w.epoch && 2*recent <= len(w.heard) {
		return
	}
	moving := false
	for i := range w.heard {
		if o := &w.heard[i]; o.moving && o.epoch == best.epoch && w.isRecent(o, now) {
			moving = true
		}
	}
	switch {
	case !moving:
		w.moving = time.Time{}
	case w.moving.IsZero():
		w.moving = now
		w.log.Warn("redis: "+errMoving.Error(), "master", w.addr)
	}
	w.epoch = best.epoch
	if best.addr != w.addr {
		if w.addr != "" {
			w.log.Warn("redis: another server is the master now", "master", best.addr, "former", w.addr)
		}
		w.addr = best.addr
	}
}

// listen notes whether any source answers.
func (w *watch) listen(answers bool) {
	switch {
	case answers && w.silent:
		w.log.Info("redis: whoever knows the master answers again")
	case !answers && !w.silent && w.asked():
		var errs []error
		for i := range w.heard {
			errs = append(errs, w.heard[i].err)
		}
		w.log.Error("redis: nobody answers who knows the master", "master", w.addr, "error", errors.Join(errs...))
	default:
		return
	}
	w.silent = !answers
}

// asked reports whether each source was asked since it runs.
func (w *watch) asked() bool {
	for i := range w.heard {
		if !w.heard[i].done {
			return false
		}
	}
	return true
}

// test is [redis.Pool.TestOnBorrowContext]: it returns an error for a connection to a server that is not
// the master. Where nobody says who is, the server itself is asked, once a second.
func (w *watch) test(ctx context.Context, c redis.Conn, _ time.Time) error {
	k, ok := c.(*conn)
	if !ok {
		return nil
	}
	addr, changed, err := w.known(time.Now())
	switch {
	case err == errMoving: // whoever dials instead waits for it
		return err
	case changed != nil:
		ctx, cancel := w.bounded(ctx)
		defer cancel()
		if addr, err = w.master(ctx); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	if addr != k.addr {
		return errFormer
	}
	now := time.Now()
	w.mu.Lock()
	fresh := w.isFresh(now)
	w.mu.Unlock()
	if fresh || now.Sub(k.checked) < silence {
		return nil
	}
	if err := checkMaster(k); err != nil {
		return err
	}
	k.checked = time.Now()
	return nil
}

// bounded returns ctx with an end for one question at most.
func (w *watch) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(w.limit)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	// WithDeadline relies on a deadline that is there already, and ctx's may have no timer.
	return context.WithDeadline(undated{ctx}, deadline)
}
