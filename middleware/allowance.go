package middleware

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// An allowance bounds the lines that anybody can have written who sends requests: maxLines of one kind in a
// minute. What is left out is counted, and told when the minute is over, so that the log never says less than
// how often it happened. Events of people who are signed in, and of what the app does in the background, do not
// come here.
type allowance struct {
	mu    sync.Mutex
	kinds map[lineKind]*lineCount
}

const (
	maxLines   = 100
	maxKinds   = 256 // an app may have reasons of its own; the last of them are counted as one
	lineWindow = time.Minute
)

// A lineKind is what lines have in common that are counted together.
type lineKind struct {
	level  slog.Level
	what   string
	reason Reason
}

type lineCount struct {
	began         time.Time
	written, left int
}

// take reports whether a line may be written at now. before is how many were left out in a minute that is over,
// and first that this line is the first of its minute to be.
func (l *allowance) take(k lineKind, now time.Time) (kind lineKind, write, first bool, before int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.kinds[k]
	if !ok && len(l.kinds) >= maxKinds {
		k.what, k.reason = "other", ""
		c, ok = l.kinds[k]
	}
	if !ok {
		if l.kinds == nil {
			l.kinds = map[lineKind]*lineCount{}
		}
		c = &lineCount{began: now}
		l.kinds[k] = c
	}
	if now.Sub(c.began).Abs() >= lineWindow {
		before = c.left
		*c = lineCount{began: now}
	}
	if c.written < maxLines {
		c.written++
		return k, true, false, before
	}
	c.left++
	return k, false, c.left == 1, before
}

// rest returns how many lines of a kind were left out and not told of, and begins to count anew.
func (l *allowance) rest(k lineKind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.kinds[k]
	if !ok {
		return 0
	}
	n := c.left
	c.left = 0
	return n
}

// visitorEvent is event for what a request can cause in which nobody is signed in.
func (a *Auth) visitorEvent(ctx context.Context, level slog.Level, what string, reason Reason, attrs ...slog.Attr) {
	if q, err := from(ctx); err == nil && q.session.Load().signedIn() || !a.log.Enabled(ctx, level) {
		a.event(ctx, level, what, reason, attrs...)
		return
	}
	k, write, first, before := a.lines.take(lineKind{level, what, reason}, a.now())
	a.leftOut(k, before)
	if first {
		time.AfterFunc(lineWindow, func() { a.leftOut(k, a.lines.rest(k)) }) // nobody may come who tells
	}
	if write {
		a.event(ctx, level, what, reason, attrs...)
	}
}

// leftOut tells how many lines of a kind were not written.
func (a *Auth) leftOut(k lineKind, n int) {
	if n > 0 {
		a.event(context.Background(), k.level, "more of an event in the last minute", k.reason, slog.String("event", k.what), slog.Int("count", n))
	}
}

// allLeftOut tells what was left out so far.
func (a *Auth) allLeftOut() {
	a.lines.mu.Lock()
	var kinds []lineKind
	for k := range a.lines.kinds {
		kinds = append(kinds, k)
	}
	a.lines.mu.Unlock()
	for _, k := range kinds {
		a.leftOut(k, a.lines.rest(k))
	}
}
