package middleware

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

// extend adds what came back from a step-up or link to the session that it left. The person stays
// who they are. The steps that can say no come first; then the session is written; then the account changes
// hands, if it does. When that fails the session gets back what it had.
func (a *Auth) extend(ctx context.Context, q *request, f *flow, g connection.Grant, id *providers.Identity) (*outcome, *Problem) {
	p := *q.Now.Load()
	var h *transfer
	if f.purpose == link {
		var problem *Problem
		if h, problem = a.own(ctx, &p, f, &g, id); problem != nil {
			return nil, problem
		}
	}
	places, err := a.accounts.ListGrant(ctx, &p, sessionAt(g.Token))
	if err != nil {
		a.letGo(ctx, h)
		return nil, problem(reason.Store, err)
	}
	x, pr := a.add(ctx, &p, f, g)
	if pr != nil {
		a.letGo(ctx, h)
		return nil, pr
	}
	if err := a.accounts.Unended(ctx, places); err != nil {
		a.letGo(ctx, h)
		a.sessions.Undo(ctx, &x.session, &x.change)
		return nil, problem(reason.SessionChanged, err)
	}
	if err := a.handOver(ctx, q, h, id, x.session.ID); err != nil {
		a.sessions.Undo(ctx, &x.session, &x.change)
		return nil, problem(reason.Store, err)
	}
	a.overtaken(ctx, h, &x.session)
	if x.had && x.old.User != g.User {
		// Another account has taken its place: nobody uses that one's token any more.
		a.connections.RevokeAndUnlink(ctx, &x.session, &x.old)
	}
	return x.outcome, nil
}

// extension is a session that was extended.
type extension struct {
	outcome *outcome
	session session.View        // before
	change  sessionstore.Change // that was made
	old     connection.Grant    // in whose place there is another
	had     bool
}

// add writes g into the session of p.
func (a *Auth) add(ctx context.Context, p *session.View, f *flow, g connection.Grant) (*extension, *Problem) {
	for range session.SettleTries {
		if p := belongs(f, p); p != nil {
			return nil, p
		}
		if p := f.room(p); p != nil {
			return nil, p
		}
		old, had := connection.GrantOf(p, g.ID())
		if f.purpose == stepUp && (!had || old.User != g.User) {
			return nil, problem(reason.Identity, errors.New("middleware: callback: another subject than before"))
		}
		now, m := a.env.Clock(), p.Meta
		out := &outcome{session: p.ID, deadline: m.Deadline, persist: m.Persist, user: m.User}
		c := sessionstore.Change{If: []sessionstore.Match{p.Lineage()}, Expires: a.sessions.Expiry(&m, now)}
		if !had { // nor has anybody made one meanwhile, whose account would be left without it
			name := connection.PrefixGrant + g.ID()
			c.If = append(c.If, sessionstore.Match{Name: name, Version: env.VersionOf(p.Record, name)})
		}
		kept := connection.KeepGrant(p, &c, g, len(f.need.ACR) > 0 || f.need.MaxAge > 0, now)
		if f.purpose == stepUp && (len(f.need.ACR) > 0 || f.need.MaxAge > 0) && p.Standing == session.Current {
			// The level has risen: what was stolen before is worth nothing now.
			out.secret = a.env.Ring[0].Next(p.ID, p.Secret, m.User, p.Born)
			m.Rotate(out.secret, false, now)
			m.ACR = g.ACR
			c.If = append(c.If, sessionstore.Match{Name: session.FieldMeta, Version: p.MetaVersion})
			c.Set = append(c.Set, sessionstore.Field{Name: session.FieldMeta, Value: m.Pack(), Version: env.Version()})
		}
		back, gone := a.sessions.CameBack(p, p, f.ending("signed_in"), f.page, m.User)
		c.Set, c.Delete = append(c.Set, back...), gone
		err := a.env.Write(ctx, p.Key(), c)
		if err == nil {
			out.unmet = f.purpose == stepUp && len(connection.Missing(f.need.Scopes, kept.Token.Scopes)) > 0
			return &extension{outcome: out, session: *p, change: c, old: old, had: had}, nil
		}
		if !env.Contested(err) {
			if !env.Decided(err) {
				a.sessions.Undo(ctx, p, &c)
			}
			return nil, problem(reason.Store, fmt.Errorf("middleware: session: %w", err))
		}
		again, err := a.sessions.Load(ctx, p.ID, p.Secret)
		if err != nil {
			return nil, problem(reason.Store, err)
		}
		if p.Opens() && again.Standing == session.Before && again.Born == p.Born && again.Meta.Renewed.Equal(p.Meta.Renewed) {
			again.Standing = session.Previous // the request had a right to the session when it came, and RenewToken took it from nobody
		}
		p = &again
	}
	return nil, problem(reason.Store, errors.New("middleware: session: changed too often"))
}

// noteEnded leaves word for the session's other tabs, see [Auth.status].
func (a *Auth) noteEnded(q *request, f *flow, result string) {
	s := q.Now.Load()
	if !s.Opens() {
		return
	}
	set, del := a.sessions.EndingFields(s, f.ending(result))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q), env.StoreTime)
	defer cancel()
	err := a.env.Store.Update(ctx, s.Key(), sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Set: set, Delete: del})
	if err != nil && !env.Contested(err) {
		a.env.Log.Visitor(q, slog.LevelWarn, "end of a sign-in not noted", reason.Store, slog.Any("error", err))
	}
}
