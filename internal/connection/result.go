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
	saveTime = time.Second // after which a token is used although it is not saved
	saveNote = time.Minute // between lines in the log that it fails
)

// A result saves what the provider answered, and tells the requests that wait.
type result struct {
	record
	publication
	provider providers.Provider
	seen     uint64 // version of the grant that is to be renewed
	force    bool   // the token is renewed although its time is not over

	change  *Change          // that OnChange is told
	account *account.Account // as a refreshed ID token has it
	older   bool             // a sign-in that came meanwhile is newer than the request to the provider
	unheard int              // requests with the present token that got no answer
	owed    bool             // the mark is still to be released
}

// save stores the token that the provider issued for g. To lose the token would end the connection: if the store
// fails, the save is tried until it succeeds, or the connection or its session has ended. After saveTime the waiting
// requests get the token from memory, as long as it is good. Until it is saved, this process does not renew it again.
func (r *result) save(ctx context.Context, s *session.View, g *Grant, t *providers.Token) (Grant, error) {
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
		// A sign-in that comes meanwhile writes both fields, and its account is newer.
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
		case !a.env.Clock().Before(s.Meta.Deadline): // the session is over
			a.Revoke(ctx, r.provider, t)
			return Grant{}, session.ErrSignedOut
		case !ended && next.ended(a.env.Clock()):
			ended = true
			r.reopen(r.seen)
			r.publish(Grant{}, reason.New(reason.Store, err))
		// A process that stood still for a while tries at least twice: another may have been first.
		case failures > 2 && time.Since(began) >= saveTime:
			r.publish(next, nil)
		}
		_ = env.Pause(ctx, rest) // ctx does not end
	}
}

// reidentify returns the account of the signed-in user as the ID token of t describes it; nil if t has none for it. Only
// the connection of the sign-in may change the account in the session. The account's own record is written by
// sign-ins.
func (r *result) reidentify(ctx context.Context, s *session.View, g *Grant, t *providers.Token) *account.Account {
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
		// The claims of before may not hold any more: none of them is kept.
		r.connections.env.Log.Event(ctx, slog.LevelWarn, "refreshed claims not kept", reason.IdentitySize, slog.String("connection", r.key.id), slog.Any("error", err))
		id = providers.Identity{Issuer: acc.Identity.Issuer, Subject: acc.Identity.Subject, AuthTime: acc.Identity.AuthTime, ACR: acc.Identity.ACR, Claims: json.RawMessage("{}")}
	}
	acc.Identity = id
	return &acc
}

// overtaken returns the grant that counts when next could not replace was, because the session has changed to s.
func (r *result) overtaken(ctx context.Context, s *session.View, was, next *Grant) (Grant, error) {
	a := r.connections
	g, err := r.holds(s)
	switch {
	case errors.Is(err, session.ErrSignedOut) || errors.Is(err, ErrNotConnected) || err == nil && g.User != was.User:
		// Nobody can use the token any more.
		a.Revoke(ctx, r.provider, next.Token)
	case err == nil && g.version == next.version: // a write that seemed to fail has saved it
		r.changed(s, &g, next.Token)
	case err == nil && g.Token.Refresh == was.Token.Refresh:
		// A sign-in in between has kept the refresh token that was used here, see [Grant.after].
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
	return g, err // the first write counts
}

// endGrant ends the grant g, for the verdict v. If the grant has changed since the provider was asked, it returns a
// contested error: the verdict is about a token that has been replaced.
func (r *result) endGrant(ctx context.Context, g *Grant, v verdict, cause error) error {
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
		// The provider speaks of another person than the one who is signed in.
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

// notEnded returns the error of a grant that has ended, when that could not be written because of err.
func (r *result) notEnded(err error) error {
	if env.Contested(err) {
		return err
	}
	r.owed, r.unheard = true, maxUnheard // the provider has answered: it is not asked again at once
	return reason.New(reason.Store, err)
}

// changed notes what OnChange is told.
func (r *result) changed(s *session.View, g *Grant, t *providers.Token) {
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

// A Change is what an app is told of a renewal.
type Change struct {
	Account         *account.Account // who is signed in
	Provider, Label string
	Token           *providers.Token // the new one; nil: the provider has ended the connection
}
