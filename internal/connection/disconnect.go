package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// Disconnect removes the grant of that id from the session of q. Its token is revoked in the background. A grant that
// is not there is no error; a session that has ended, or is another user's by now, is [session.ErrSignedOut].
func (a *Connections) Disconnect(q *session.Request, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), 2*env.StoreTime)
	defer cancel()
	was := q.Now.Load()
	s := *was
	for range session.SettleTries {
		g, ok := heldBy(&s, id)
		c := sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Delete: []string{PrefixGrant + id, prefixMark + id}}
		if ok { // a renewal may come in between: the token that is revoked has to be the one that is removed
			c.If = append(c.If, sessionstore.Match{Name: PrefixGrant + id, Version: g.version})
		}
		err := a.env.Store.Update(ctx, s.Key(), c)
		if err == nil {
			q.ShowChange(c)
			if ok {
				a.RevokeAndUnlink(ctx, &s, &g)
			}
			a.env.Log.Event(q.Outer, slog.LevelInfo, "disconnected", "", slog.String("connection", id))
			return nil
		}
		if !env.Contested(err) {
			return reason.New(reason.Store, fmt.Errorf("middleware: session: %w", err))
		}
		again, err := a.sessions.Find(ctx, s.ID)
		if err != nil {
			return reason.New(reason.Store, fmt.Errorf("middleware: session: %w", err))
		}
		if again.Born != was.Born || again.Meta.User != was.Meta.User {
			return session.ErrSignedOut
		}
		s = again
	}
	return reason.New(reason.Store, errors.New("middleware: session: changed too often"))
}

// RevokeAndUnlink revokes the token of a grant that was removed from s, in the background, and unlinks its account
// from the signed-in user unless another grant of s is of that account.
func (a *Connections) RevokeAndUnlink(ctx context.Context, s *session.View, g *Grant) {
	if p := a.Providers[g.Provider]; p != nil && !g.dead && a.env.Background.Enter() {
		a.Revoke(ctx, p, g.Token)
		a.env.Background.Tasks.Done()
	}
	if g.User == s.Meta.User {
		return
	}
	// If two grants of one account are removed at once, the later removal finds none.
	now, err := a.sessions.Find(ctx, s.ID)
	if err == nil && Connects(&now, g.User) {
		return // under another label
	}
	if err == nil {
		err = a.accounts.Unlink(ctx, s, g.User)
	}
	if err != nil {
		a.env.Log.Event(ctx, slog.LevelWarn, "account not unlinked", reason.Store, slog.Any("error", err))
	}
}
