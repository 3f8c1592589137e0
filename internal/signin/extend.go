package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// extend adds the grant that came back from a step-up or link to the session that it left. The signed-in user
// stays the same. The steps that can refuse come first; then the session is written; then the account is
// transferred, if it is another user's. If the transfer fails, the session gets back what it had.
func (a *SignIns) extend(ctx context.Context, q *session.Request, f *Flow, g connection.Grant, id *providers.Identity) (*Outcome, error) {
	p := *q.Now.Load()
	var h *transfer
	if f.Purpose == Link {
		var err error
		if h, err = a.mayLink(ctx, &p, f, &g, id); err != nil {
			return nil, err
		}
	}
	places, err := a.accounts.ListGrant(ctx, &p, sessionAt(g.Token))
	if err != nil {
		a.abandon(ctx, h)
		return nil, reason.New(reason.Store, err)
	}
	x, err := a.add(ctx, &p, f, g)
	if err != nil {
		a.abandon(ctx, h)
		return nil, err
	}
	if err := a.accounts.Unended(ctx, places); err != nil {
		a.abandon(ctx, h)
		a.sessions.Undo(ctx, &x.session, &x.change)
		return nil, reason.New(reason.SessionChanged, err)
	}
	if err := a.takeAccount(ctx, q, h, id, x.session.ID); err != nil {
		a.sessions.Undo(ctx, &x.session, &x.change)
		return nil, reason.New(reason.Store, err)
	}
	a.unlinkIfCut(ctx, h, &x.session)
	if x.had && x.old.User != g.User {
		// The grant of another account was replaced: its token is not used any more.
		a.connections.RevokeAndUnlink(ctx, &x.session, &x.old)
	}
	return x.outcome, nil
}

// extension is a session that was extended.
type extension struct {
	outcome *Outcome
	session session.View        // before the change
	change  sessionstore.Change // as it was written
	old     connection.Grant    // that was replaced
	had     bool                // there is an old one
}

// add writes g into the session of p.
func (a *SignIns) add(ctx context.Context, p *session.View, f *Flow, g connection.Grant) (*extension, error) {
	for range session.SettleTries {
		if err := belongs(f, p); err != nil {
			return nil, err
		}
		if err := f.checkRoom(p); err != nil {
			return nil, err
		}
		old, had := connection.GrantOf(p, g.ID())
		if f.Purpose == StepUp && (!had || old.User != g.User) {
			return nil, reason.New(reason.Identity, errors.New("middleware: callback: another subject than before"))
		}
		now, m := a.env.Clock(), p.Meta
		out := &Outcome{session: p.ID, deadline: m.Deadline, persist: m.Persist, user: m.User}
		c := sessionstore.Change{If: []sessionstore.Match{p.Lineage()}, Expires: a.sessions.Expiry(&m, now)}
		if !had { // another request that adds a grant here meanwhile would lose it, and leave its account linked
			name := connection.PrefixGrant + g.ID()
			c.If = append(c.If, sessionstore.Match{Name: name, Version: env.VersionOf(p.Record, name)})
		}
		kept := connection.KeepGrant(p, &c, g, len(f.Need.ACR) > 0 || f.Need.MaxAge > 0, now)
		if f.Purpose == StepUp && (len(f.Need.ACR) > 0 || f.Need.MaxAge > 0) && p.Standing == session.Current {
			// The level has risen: a cookie that was stolen before must not open it.
			out.secret = a.env.Ring[0].Next(p.ID, p.Secret, m.User, p.Born)
			m.Rotate(out.secret, false, now)
			m.ACR = g.ACR
			c.If = append(c.If, sessionstore.Match{Name: session.FieldMeta, Version: p.MetaVersion})
			c.Set = append(c.Set, sessionstore.Field{Name: session.FieldMeta, Value: m.Pack(), Version: env.Version()})
		}
		back, gone := a.sessions.ReturnFields(p, p, f.ending("signed_in"), f.Page, m.User)
		c.Set, c.Delete = append(c.Set, back...), gone
		err := a.env.Write(ctx, p.Key(), c)
		if err == nil {
			out.unmet = f.Purpose == StepUp && len(connection.Missing(f.Need.Scopes, kept.Token.Scopes)) > 0
			return &extension{outcome: out, session: *p, change: c, old: old, had: had}, nil
		}
		if !env.Contested(err) {
			if !env.Decided(err) {
				a.sessions.Undo(ctx, p, &c)
			}
			return nil, reason.New(reason.Store, fmt.Errorf("middleware: session: %w", err))
		}
		again, err := a.sessions.Load(ctx, p.ID, p.Secret)
		if err != nil {
			return nil, reason.New(reason.Store, err)
		}
		if p.Opens() && again.Standing == session.Superseded && again.Born == p.Born && again.Meta.Renewed.Equal(p.Meta.Renewed) {
			again.Standing = session.Previous // the cookie was current when the request came, and nothing but RenewToken has replaced it
		}
		p = &again
	}
	return nil, reason.New(reason.Store, errors.New("middleware: session: changed too often"))
}

// noteEnded notes in the session how f ended, for its other tabs: the status address tells them.
func (a *SignIns) noteEnded(q *session.Request, f *Flow, result string) {
	s := q.Now.Load()
	if !s.Opens() {
		return
	}
	set, del := a.sessions.EndingFields(s, f.ending(result))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	err := a.env.Store.Update(ctx, s.Key(), sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Set: set, Delete: del})
	if err != nil && !env.Contested(err) {
		a.env.Log.Visitor(q.Outer, slog.LevelWarn, "end of a sign-in not noted", reason.Store, slog.Any("error", err))
	}
}
