package session

import (
	"context"
	"errors"
	"log/slog"

	"github.com/returnleg/returnleg/internal/reason"
)

// LogLate logs that a handler has changed the session after its answer began, if the change was not saved. path
// is the path of the request.
func (q *Request) LogLate(path string) {
	q.mu.Lock()
	loaded, pending := q.data.loaded != nil, len(q.pages)+len(q.forget) > 0 || q.SignsOut || q.renew
	noted := len(q.notes) > 0
	q.mu.Unlock()
	if noted {
		q.tell()
	}
	if !loaded && !pending {
		return
	}
	sn, err := q.Snap()
	if err == nil && !pending && sn.Modified {
		q.mu.Lock()
		base := q.data.base
		if base == nil {
			base = q.data.baseline(q.Now.Load())
		}
		q.mu.Unlock()
		set, del := sn.Diff(base)
		pending = len(set)+len(del) > 0 || sn.ended || sn.renewed
	}
	if err != nil || pending {
		q.mu.Lock()
		told := q.saved
		q.mu.Unlock()
		switch {
		case told == nil || errors.Is(told, errNoCookie):
		case errors.Is(told, ErrNotSaved):
			q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelInfo, "session not saved", notSavedReason(told))
			return
		default:
			q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelWarn, "session not saved", ReasonOf(told), slog.Any("error", told))
			return
		}
		q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelWarn, "session changed too late", reason.LateWrite, slog.String("path", path))
	}
}
