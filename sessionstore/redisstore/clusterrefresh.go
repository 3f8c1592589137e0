package redisstore

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A refresher is a cluster that can ask its nodes which of them has which slots.
type refresher interface{ Refresh() error }

// A refresh makes a cluster look again. It learns by itself what a node tells it that has lost a slot
// (MOVED), or that none can be reached. But a node that hangs accepts connections and tells nothing: its
// slots have gone to another node long since, and without a look would stay unavailable until it is back.
type refresh struct{ busy atomic.Bool }

// refreshRest is how long after a refresh there is no other.
const refreshRest = time.Second

// failed makes p look again, in a goroutine of its own, if err is that a node has not answered.
func (l *refresh) failed(p Pool, err error) {
	r, ok := p.(refresher)
	if !ok || err == nil || isAnswer(err) || !l.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		_ = r.Refresh() // where no node answers there is nothing to learn
		time.Sleep(refreshRest)
		l.busy.Store(false)
	}()
}

// isAnswer reports whether err is, or comes from, what a node has answered.
func isAnswer(err error) bool {
	var said redis.Error
	return errors.As(err, &said) || errors.Is(err, errReply) || errors.Is(err, errMoved) || errors.Is(err, errBehind) ||
		errors.Is(err, errStale) || errors.Is(err, errTooLarge)
}
