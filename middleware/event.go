package middleware

import (
	"context"
	"log/slog"
	"strings"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// event logs what happened. There is no parameter through which a secret could come along: what is
// added are names, codes and errors of our own.
func (a *Auth) event(ctx context.Context, level slog.Level, what string, reason Reason, attrs ...slog.Attr) {
	if !a.log.Enabled(ctx, level) {
		return
	}
	if a.developing() {
		attrs = explained(attrs)
	}
	if reason != "" {
		attrs = append([]slog.Attr{slog.String("reason", string(reason))}, attrs...)
	}
	a.log.LogAttrs(ctx, level, "returnleg: "+what, attrs...)
}

// note keeps an event for [request.tell]. The caller holds q.mu: whoever handles the log may ask the
// session who it is about, and would wait for it for ever.
func (q *request) note(level slog.Level, what string, reason Reason, attrs ...slog.Attr) {
	log := q.auth.visitorEvent
	if q.session.Load().signedIn() { // who may not be, any more, when the event is told
		log = q.auth.event
	}
	q.notes = append(q.notes, func() { log(q, level, what, reason, attrs...) })
}

// tell logs what was noted.
func (q *request) tell() {
	q.mu.Lock()
	notes := q.notes
	q.notes = nil
	q.mu.Unlock()
	for _, event := range notes {
		event()
	}
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

// unread logs that a stored value opens and cannot be read: it is in words of another version, or of a type that
// this build does not know. Like one that does not open it is not there for anybody, and it stays where it is.
func (a *Auth) unread(ctx context.Context, kind, field string, err error) {
	a.boundedEvent(ctx, slog.LevelWarn, "value not read", ReasonValue,
		slog.String("kind", kind), slog.String("field", field), slog.Any("error", err))
}

// sealed returns the store to use for s, which may be nil. A value that never leaves the process is no safer for
// being sealed with a key beside it.
func (a *Auth) sealed(s sessionstore.Store, keys sessionstore.Keyring) sessionstore.Store {
	if s == nil {
		return &sessionstore.Memory{}
	}
	if memory, ok := s.(*sessionstore.Memory); ok {
		return memory
	}
	sealed := sessionstore.Sealed(s, keys)
	sealed.Unopened = func(k sessionstore.Key, field string, err error) {
		a.visitorEvent(context.Background(), slog.LevelWarn, "value not opened", ReasonUnsealed,
			slog.String("kind", k.Kind), slog.String("field", field), slog.Any("error", err))
	}
	return sealed
}
