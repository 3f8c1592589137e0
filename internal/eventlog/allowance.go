package eventlog

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// An Allowance limits the lines that requests without a signed-in user can cause: maxLines of one kind in a
// minute. The rest is counted, and reported when the minute is over, so that the log still says how often an
// event happened. Events of signed-in users and of background tasks are not limited.
type Allowance struct {
	Mu    sync.Mutex
	Kinds map[lineKind]*lineCount // guarded by Mu
}

// Limits of the log.
const (
	maxLines   = 100
	maxKinds   = 512 // in a minute; kinds beyond that are counted as one, because an app may have many reasons of its own
	lineWindow = time.Minute
)

// A lineKind is what lines that are counted together have in common. A flood of made-up codes at one provider
// hides nothing about another provider, nor about the app's own refusals.
type lineKind struct {
	level          slog.Level
	what           string
	reason         string
	provider, code string
}

// kindOf returns the kind of a line.
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

// A lineCount counts the lines of one kind in one minute.
type lineCount struct {
	began         time.Time
	written, left int
}

// take reports whether a line of kind k may be written at now, and the kind under which it was counted. before
// is how many lines were left out in a minute that is over. first is true for the first line that is left out
// in its minute.
func (l *Allowance) take(k lineKind, now time.Time) (kind lineKind, write, first bool, before int) {
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

// rest returns how many lines of a kind were left out since they were last reported, and counts anew.
func (l *Allowance) rest(k lineKind) int {
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

// bounded is [Log.Event] for an event that every request may cause, of any client: its lines are counted.
func (l *Log) bounded(ctx context.Context, level slog.Level, what string, code string, attrs ...slog.Attr) {
	if !l.Logger.Enabled(ctx, level) {
		return
	}
	k, write, first, before := l.Lines.take(kindOf(level, what, code, attrs), l.Now())
	l.leftOut(k, before)
	if first {
		time.AfterFunc(lineWindow, func() { l.leftOut(k, l.Lines.rest(k)) }) // there may be no later line that reports it
	}
	if write {
		l.Event(ctx, level, what, code, attrs...)
	}
}

// leftOut logs how many lines of a kind were not written.
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

// Flush logs at once how many lines were not written so far.
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
