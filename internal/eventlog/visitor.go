package eventlog

import (
	"context"
	"log/slog"
)

// A Visitor is the client of a request. A context has it under [VisitorKey].
type Visitor interface{ SignedIn() bool }

// VisitorKey is the key under which a context has the [Visitor] of its request.
type VisitorKey struct{}

// Visitor logs an event that a request may cause in which no user is signed in. It is [Log.Event] if one is
// signed in, and [Log.bounded] otherwise.
func (l *Log) Visitor(ctx context.Context, level slog.Level, what string, code string, attrs ...slog.Attr) {
	if v, ok := ctx.Value(VisitorKey{}).(Visitor); ok && v.SignedIn() {
		l.Event(ctx, level, what, code, attrs...)
		return
	}
	l.bounded(ctx, level, what, code, attrs...)
}
