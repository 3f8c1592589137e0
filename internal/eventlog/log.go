package eventlog

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/providers"
)

// A Log tells the app's logger what happens.
type Log struct {
	Logger  *slog.Logger
	Explain bool             // add the causes of errors that are known, for a developer
	Now     func() time.Time // the clock by which minutes of Lines are measured
	Lines   Allowance
}

// Event logs what happened. Its parameters leave no way for a secret: attrs are names, codes and errors of the
// kit.
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

// explained returns attrs and, for each error in them, the causes that [providers.Explain] finds.
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

// Unread logs that a stored value opens and cannot be read: another version wrote it, or this build does not
// know its type. Such a value counts as missing, and stays in the store.
func (l *Log) Unread(ctx context.Context, kind, field string, err error) {
	l.bounded(ctx, slog.LevelWarn, "value not read", reason.Value,
		slog.String("kind", kind), slog.String("field", field), slog.Any("error", err))
}
