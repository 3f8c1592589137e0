package connection

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	saveTime = time.Second           // after which a token is used although it is not saved
	saveRest = 50 * time.Millisecond // before the second try
	saveSlow = 5 * time.Second       // between later ones
	saveNote = time.Minute           // between notes in the log that it fails
)

// save stores what the provider gave for g. If the store cannot take it, it is used from memory after
// a while, as long as it is good; and tried until it is saved, or the connection is over by other means:
// to throw it away would end the connection. Until then this process renews it no further.
func (r *renewal) save(ctx context.Context, s *session.View, g *Grant, t *providers.Token) (Grant, error) {
	a := r.connections
	next := *g
	next.Token, next.issued, next.forced, next.version = t, a.env.Clock(), time.Time{}, env.Version()
	if r.force {
		next.forced = next.issued
	}
	c := sessionstore.Change{
		If:     []sessionstore.Match{s.Lineage(), {Name: PrefixGrant + r.key.id, Version: g.version}},
		Set:    []sessionstore.Field{next.field()},
		Delete: []string{prefixMark + r.key.id},
	}
	if acc := r.reidentify(ctx, s, g, t); acc != nil {
		// A sign-in meanwhile has written both, and knows better.
		c.If = append(c.If, sessionstore.Match{Name: session.FieldMeta, Version: s.MetaVersion})
		c.Set = append(c.Set, sessionstore.Field{Name: session.FieldUser, Value: acc.Pack()[1:]})
		r.account = acc
	}
	began, failures, ended := time.Now(), 0, false
	var noted time.Time
	for rest := saveRest; ; rest = min(2*rest, saveSlow) {
		err := r.update(ctx, c)
		if err == nil {
			r.changed(s, g, t)
			a.env.Log.Event(ctx, slog.LevelInfo, "token renewed", "", slog.String("connection", r.key.id))
			return next, nil
		}
		if env.Contested(err) {
			var now session.View
			if now, err = r.look(ctx); err == nil {
				return r.overtaken(ctx, &now, g, &next)
			}
		}
		if failures++; failures == 1 {
			a.Flights.Unsaved.Add(1)
			defer a.Flights.Unsaved.Add(-1)
		}
		if noted.IsZero() || time.Since(noted) >= saveNote {
			noted = time.Now()
			a.env.Log.Event(ctx, slog.LevelError, "renewed token not saved", reason.Store, slog.String("connection", r.key.id), slog.Any("error", err))
		}
		switch {
		case !a.env.Clock().Before(s.Meta.Deadline): // nobody can use it any more
			a.Revoke(ctx, r.provider, t)
			return Grant{}, session.ErrSignedOut
		case !ended && next.ended(a.env.Clock()):
			ended = true
			r.reopen()
			r.publish(Grant{}, reason.New(reason.Store, err))
		// A process that was stopped for a while tries at least twice: another may have been first.
		case failures > 2 && time.Since(began) >= saveTime:
			r.publish(next, nil)
		}
		_ = env.Pause(ctx, rest) // ctx does not end
	}
}

// reidentify returns the account as the ID token of t has it; nil if that says nothing of whoever is signed
// in to s. Only the sign-in's own connection may; the account's record is written by sign-ins.
func (r *renewal) reidentify(ctx context.Context, s *session.View, g *Grant, t *providers.Token) *account.Account {
	p, ok := r.provider.(providers.Reidentifier)
	if !ok || r.older || g.User != s.Meta.User || g.Provider != s.Meta.Provider || g.Label != "" {
		return nil
	}
	f, _ := s.Record.Field(session.FieldUser)
	acc, err := account.Unpack(f.Value)
	if err != nil {
		return nil
	}
	id, ok := p.Reidentify(acc.Identity, g.Token, t)
	if !ok {
		return nil
	}
	if err := Bound(t, &id); err != nil {
		// What they said before may be what they say no more: nothing of it is kept.
		r.connections.env.Log.Event(ctx, slog.LevelWarn, "refreshed claims not kept", reason.IdentitySize, slog.String("connection", r.key.id), slog.Any("error", err))
		id = providers.Identity{Issuer: acc.Identity.Issuer, Subject: acc.Identity.Subject, AuthTime: acc.Identity.AuthTime, ACR: acc.Identity.ACR, Claims: json.RawMessage("{}")}
	}
	acc.Identity = id
	return &acc
}

// overtaken returns what counts, when was could not be made next because the session has changed to s.
func (r *renewal) overtaken(ctx context.Context, s *session.View, was, next *Grant) (Grant, error) {
	a := r.connections
	g, err := r.holds(s)
	switch {
	case errors.Is(err, session.ErrSignedOut) || errors.Is(err, ErrNotConnected) || err == nil && g.User != was.User:
		// What nobody can use any more, nobody should find either.
		a.Revoke(ctx, r.provider, next.Token)
	case err == nil && g.version == next.version: // by a write that seemed to fail
		r.changed(s, &g, next.Token)
	case err == nil && g.Token.Refresh == was.Token.Refresh:
		// A sign-in in between has kept what was traded here, see [grant.after].
		t := *next.Token
		if g.Token.Access != was.Token.Access {
			t = *g.Token
			t.Refresh = next.Token.Refresh
		}
		if t.Access != g.Token.Access || t.Refresh != g.Token.Refresh {
			r.older = r.older || g.version != was.version // than that sign-in
			return r.save(ctx, s, &g, &t)
		}
	}
	return g, err // what was written first
}

// endGrant ends the grant, unless it has changed since the provider said that it is over.
func (r *renewal) endGrant(ctx context.Context, g *Grant, v verdict, cause error) error {
	a := r.connections
	s, err := r.look(ctx)
	if err != nil {
		return r.notEnded(err)
	}
	now, err := r.holds(&s)
	if err != nil {
		return err
	}
	if now.version != g.version {
		return sessionstore.ErrConflict
	}
	c := sessionstore.Change{If: []sessionstore.Match{s.Lineage(), {Name: PrefixGrant + r.key.id, Version: g.version}}}
	if v == foreign && g.User == s.Meta.User {
		// Whoever is signed in is not who the provider speaks of.
		c.Expires = time.Unix(0, 0)
		if err := r.update(ctx, c); err != nil {
			return r.notEnded(err)
		}
		a.accounts.Remove(ctx, s.Meta.User, s.ID)
		a.env.Log.Event(ctx, slog.LevelError, "session ended: refresh answered for somebody else", reason.Identity, slog.String("connection", r.key.id))
		return session.ErrSignedOut
	}
	end := now
	t := *now.Token
	t.Access, t.Refresh = "", ""
	end.Token, end.dead, end.version = &t, true, env.Version()
	c.Set, c.Delete = []sessionstore.Field{end.field()}, []string{prefixMark + r.key.id}
	if err := r.update(ctx, c); err != nil {
		return r.notEnded(err)
	}
	r.changed(&s, g, nil)
	what := "connection ended by the provider"
	if errors.Is(cause, providers.ErrNoRefresh) {
		what = "connection ended: there is nothing to renew it with" // the provider was not asked
	}
	a.env.Log.Event(ctx, slog.LevelWarn, what, reason.Refresh, slog.String("connection", r.key.id), slog.Any("error", cause))
	return g.reauth()
}

// notEnded returns what comes of a grant that has ended while err keeps that from being written.
func (r *renewal) notEnded(err error) error {
	if env.Contested(err) {
		return err
	}
	r.owed, r.unheard = true, maxUnheard // so that nobody asks at once what was answered
	return reason.New(reason.Store, err)
}

// update writes to the session's record, whoever has gone meanwhile. A panic of the app's store is an
// error as any: no request is there that could fail of it, and a renewed token is to be saved all the same.
func (r *renewal) update(ctx context.Context, c sessionstore.Change) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.fell(ctx, p)
			err = errors.New("middleware: store panicked")
		}
	}()
	return r.connections.env.Store.Update(ctx, sessionstore.Key{Kind: session.Kind, ID: r.key.session}, c)
}

// changed notes what OnToken is told.
func (r *renewal) changed(s *session.View, g *Grant, t *providers.Token) {
	f, _ := s.Record.Field(session.FieldUser)
	acc, err := account.Unpack(f.Value)
	if err != nil {
		return
	}
	if r.account != nil && t != nil {
		acc = *r.account
	}
	r.change = &Change{Account: &acc, Provider: g.Provider, Label: g.Label}
	if t != nil {
		own := *t
		r.change.Token = &own
	}
}
