package eventlog

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// An allowance bounds the lines that anybody can have written who sends requests: maxLines of one kind in a
// minute. The rest is counted, and told when the minute is over, so that the log never says less than
// how often it happened. Events of people who are signed in, and of what the app does in the background, do not
// come here.
type allowance struct {
	Mu    sync.Mutex
	Kinds map[lineKind]*lineCount
}

const (
	maxLines   = 100
	maxKinds   = 512 // in a minute; an app may have reasons of its own, and the last of them are counted as one
	lineWindow = time.Minute
)

// A lineKind is what lines have in common that are counted together. A flood of made-up codes at one provider
// hides nothing about another one, nor about what the app itself is refused with.
type lineKind struct {
	level          slog.Level
	what           string
	reason         string
	provider, code string
}

func kindOf(level slog.Level, what string, code string, attrs []slog.Attr) lineKind {
	k := lineKind{level: level, what: what, reason: code}
	for _, attr := range attrs {
		switch attr.Key {
		case "provider":
			k.provider = attr.Value.String()
		case "provider_code":
			k.code = attr.Value.String()
		}
	}
	return k
}

type lineCount struct {
	began         time.Time
	written, left int
}

// take reports whether a line may be written at now. before is how many were left out in a minute that is over,
// and first that this line is the first of its minute to be.
func (l *allowance) take(k lineKind, now time.Time) (kind lineKind, write, first bool, before int) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	c, ok := l.Kinds[k]
	if !ok && len(l.Kinds) >= maxKinds {
		maps.DeleteFunc(l.Kinds, func(_ lineKind, c *lineCount) bool { return c.left == 0 && now.Sub(c.began).Abs() >= lineWindow })
	}
	if !ok && len(l.Kinds) >= maxKinds {
		k = lineKind{level: k.level, what: "other"}
		c, ok = l.Kinds[k]
	}
	if !ok {
		if l.Kinds == nil {
			l.Kinds = map[lineKind]*lineCount{}
		}
		c = &lineCount{began: now}
		l.Kinds[k] = c
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
	l.Mu.Lock()
	defer l.Mu.Unlock()
	c, ok := l.Kinds[k]
	if !ok {
		return 0
	}
	n := c.left
	c.left = 0
	return n
}

// Bounded is event for what may come back with every request, whoever sends it.
func (l *Log) Bounded(ctx context.Context, level slog.Level, what string, code string, attrs ...slog.Attr) {
	if !l.Logger.Enabled(ctx, level) {
		return
	}
	k, write, first, before := l.Lines.take(kindOf(level, what, code, attrs), l.Now())
	l.leftOut(k, before)
	if first {
		time.AfterFunc(lineWindow, func() { l.leftOut(k, l.Lines.rest(k)) }) // nobody may come who tells
	}
	if write {
		l.Event(ctx, level, what, code, attrs...)
	}
}

// leftOut tells how many lines of a kind were not written.
func (l *Log) leftOut(k lineKind, n int) {
	if n == 0 {
		return
	}
	attrs := []slog.Attr{slog.String("event", k.what), slog.Int("count", n)}
	if k.provider != "" {
		attrs = append(attrs, slog.String("provider", k.provider))
	}
	if k.code != "" {
		attrs = append(attrs, slog.String("provider_code", k.code))
	}
	l.Event(context.Background(), k.level, "more of an event in the last minute", k.reason, attrs...)
}

// Flush tells what was left out so far.
func (l *Log) Flush() {
	l.Lines.Mu.Lock()
	var kinds []lineKind
	for k := range l.Lines.Kinds {
		kinds = append(kinds, k)
	}
	l.Lines.Mu.Unlock()
	for _, k := range kinds {
		l.leftOut(k, l.Lines.rest(k))
	}
}
