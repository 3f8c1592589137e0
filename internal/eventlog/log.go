package eventlog

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/providers"
)

// An Log tells the app's logger what happens.
type Log struct {
	Logger  *slog.Logger
	Explain bool // the causes that were found come along: while developing
	Now     func() time.Time
	Lines   allowance
}

// Event logs what happened. There is no parameter through which a secret could come along: what is
// added are names, codes and errors of our own.
func (l *Log) Event(ctx context.Context, level slog.Level, what string, code string, attrs ...slog.Attr) {
	if !l.Logger.Enabled(ctx, level) {
		return
	}
	if l.Explain {
		attrs = explained(attrs)
	}
	if code != "" {
		attrs = append([]slog.Attr{slog.String("reason", code)}, attrs...)
	}
	l.Logger.LogAttrs(ctx, level, "returnleg: "+what, attrs...)
}

// explained adds to attrs what is found of the errors in them.
func explained(attrs []slog.Attr) []slog.Attr {
	for _, attr := range attrs {
		err, ok := attr.Value.Any().(error)
		if !ok {
			continue
		}
		if lines := providers.Explain(err); len(lines) > 0 {
			attrs = append(attrs, slog.String("cause", strings.Join(lines, "; ")))
		}
	}
	return attrs
}

// Unread logs that a stored value opens and cannot be read: it is in words of another version, or of a type that
// this build does not know. Like one that does not open it is not there for anybody, and it stays where it is.
func (l *Log) Unread(ctx context.Context, kind, field string, err error) {
	l.Bounded(ctx, slog.LevelWarn, "value not read", reason.Value,
		slog.String("kind", kind), slog.String("field", field), slog.Any("error", err))
}
