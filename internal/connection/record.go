package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A grantKey names a grant among those of all sessions.
type grantKey struct {
	session string
	born    uint64 // of the session's record
	id      string // of the grant
}

// A record is the session's record that holds the grant of that key, while the grant is renewed.
type record struct {
	connections *Connections
	key         grantKey
}

// Pauses before a write is tried again that no request waits for.
const (
	saveRest = 50 * time.Millisecond // before the second try
	saveSlow = 5 * time.Second       // between later ones
)

// look returns the session as it is now.
func (r *record) look(ctx context.Context) (session.View, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	return r.connections.sessions.Find(ctx, r.key.session)
}

// holds returns the grant that s holds, or why there is nothing to renew.
func (r *record) holds(s *session.View) (Grant, error) {
	if s.Born != r.key.born {
		return Grant{}, session.ErrSignedOut
	}
	g, ok := heldBy(s, r.key.id)
	if !ok {
		return Grant{}, notConnected(r.key.id)
	}
	if g.dead {
		return Grant{}, g.reauth()
	}
	return g, nil
}

// update writes to the session's record, also when the client has gone. A panic of the app's store counts as an
// error: no request is there that it could fail, and a renewed token has to be saved all the same.
func (r *record) update(ctx context.Context, c sessionstore.Change) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.logPanic(ctx, p)
			err = errors.New("middleware: store panicked")
		}
	}()
	return r.connections.env.Store.Update(ctx, sessionstore.Key{Kind: session.Kind, ID: r.key.session}, c)
}

// logPanic logs a panic, without what it says.
func (r *record) logPanic(ctx context.Context, p any) {
	r.connections.env.Log.Event(ctx, slog.LevelError, "refresh panicked", reason.Refresh,
		slog.String("connection", r.key.id), slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
}
