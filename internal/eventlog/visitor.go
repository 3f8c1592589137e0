package eventlog

import (
	"context"
	"log/slog"
)

// A Visitor is somebody whose request is served. A context with [visitorKey] says whether they are signed in.
type Visitor interface{ SignedIn() bool }

type VisitorKey struct{}

// Visitor is event for what a request can cause in which nobody is signed in.
func (l *Log) Visitor(ctx context.Context, level slog.Level, what string, code string, attrs ...slog.Attr) {
	if v, ok := ctx.Value(VisitorKey{}).(Visitor); ok && v.SignedIn() {
		l.Event(ctx, level, what, code, attrs...)
		return
	}
	l.Bounded(ctx, level, what, code, attrs...)
}
