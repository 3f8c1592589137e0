package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A summary is one connection of a session: see Connection of the package middleware.
type summary struct {
	Provider string
	Label    string
	Name     string
	Scopes   []string
	Declined []string
	Expires  time.Time
	Ended    bool
}

// Summaries returns what s is connected with, the connection of the sign-in first.
func Summaries(s *session.View, now time.Time) []summary {
	cs := []summary{}
	for g := range GrantsOf(s) {
		cs = append(cs, summary{
			Provider: g.Provider, Label: g.Label, Name: g.name, Scopes: append([]string{}, g.Token.Scopes...),
			Declined: g.declined, Expires: g.Token.Expiry, Ended: g.Over(now),
		})
	}
	first := func(c summary) int {
		if c.Provider == s.Meta.Provider && c.Label == "" {
			return 0
		}
		return 1
	}
	slices.SortFunc(cs, func(x, y summary) int {
		if d := first(x) - first(y); d != 0 {
			return d
		}
		return strings.Compare(ID(x.Provider, x.Label), ID(y.Provider, y.Label))
	})
	return cs
}

// maxConnections is how many connections with a label a session has. One without is one per provider.
const maxConnections = 16

// HasRoom reports whether s may be connected with one more account, under that label.
func HasRoom(s *session.View, provider, label string) bool {
	n := 0
	for g := range GrantsOf(s) {
		if g.Provider == provider && g.Label == label {
			return true // it takes the place of this one
		}
		if g.Label != "" {
			n++
		}
	}
	return label == "" || n < maxConnections
}

// Sever removes the grant of that id from the session of q.
func (a *Connections) Sever(q *session.Request, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), 2*env.StoreTime)
	defer cancel()
	was := q.Now.Load()
	s := *was
	for range session.SettleTries {
		g, ok := heldBy(&s, id)
		c := sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Delete: []string{PrefixGrant + id, prefixMark + id}}
		if ok { // what is revoked is what is removed: a refresh may have come in between
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

// RevokeAndUnlink revokes the token of a grant that was removed from s, and frees the account if it was
// linked to the one that is signed in.
func (a *Connections) RevokeAndUnlink(ctx context.Context, s *session.View, g *Grant) {
	if p := a.Providers[g.Provider]; p != nil && !g.dead && a.env.Background.Enter() {
		a.Revoke(ctx, p, g.Token)
		a.env.Background.Tasks.Done()
	}
	if g.User == s.Meta.User {
		return
	}
	// Of two that are removed at once, the one that is later sees that neither is there.
	now, err := a.sessions.Find(ctx, s.ID)
	if err == nil && Connects(&now, g.User) {
		return // under another label it is still connected
	}
	if err == nil {
		err = a.accounts.Unlink(ctx, s, g.User)
	}
	if err != nil {
		a.env.Log.Event(ctx, slog.LevelWarn, "account not unlinked", reason.Store, slog.Any("error", err))
	}
}

// Connects reports that s holds a grant of that account.
func Connects(s *session.View, account string) bool {
	for f := range s.Record.Prefix(PrefixGrant) {
		if g, ok := unpackGrant(f.Name[len(PrefixGrant):], f); ok && g.User == account {
			return true
		}
	}
	return false
}
