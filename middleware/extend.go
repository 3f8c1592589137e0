package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// extend adds what came back from a step-up or link to the session that it left. The person stays
// who they are.
func (a *Auth) extend(ctx context.Context, q *request, f *flow, g grant, id *providers.Identity) (*outcome, *Problem) {
	p := *q.session.Load()
	if f.purpose == link {
		if problem := a.own(ctx, q, &p, f, &g, id); problem != nil {
			return nil, problem
		}
	}
	for range settleTries {
		if p := belongs(f, &p); p != nil {
			return nil, p
		}
		old, had := p.grant(g.id())
		if f.purpose == stepUp && (!had || old.user != g.user) {
			return nil, problem(ReasonIdentity, errors.New("middleware: callback: another subject than before"))
		}
		now, m := a.now(), p.meta
		out := &outcome{session: p.id, deadline: m.deadline, persist: m.persist, user: m.user}
		c := sessionstore.Change{If: []sessionstore.Match{p.lineage()}, Expires: a.expiry(&m, now)}
		kept := p.keep(&c, g, len(f.need.ACR) > 0 || f.need.MaxAge > 0, now)
		if f.purpose == stepUp && (len(f.need.ACR) > 0 || f.need.MaxAge > 0) && p.standing == current {
			// The level has risen: what was stolen before is worth nothing now.
			out.secret = a.secrets[0].next(p.id, p.secret, m.user, p.born)
			m.rotate(out.secret, true, now)
			m.acr = g.acr
			c.If = append(c.If, sessionstore.Match{Name: fieldMeta, Version: p.metaVersion})
			c.Set = append(c.Set, sessionstore.Field{Name: fieldMeta, Value: m.pack(), Version: version()})
		}
		back, gone := a.cameBack(&p, f, m.user)
		c.Set, c.Delete = append(c.Set, back...), gone
		err := a.store.Update(ctx, p.key(), c)
		if err == nil {
			out.unmet = f.purpose == stepUp && len(missing(f.need.Scopes, kept.token.Scopes)) > 0
			return out, nil
		}
		if !contested(err) {
			return nil, problem(ReasonStore, fmt.Errorf("middleware: session: %w", err))
		}
		if p, err = a.load(ctx, p.id, p.secret); err != nil {
			return nil, problem(ReasonStore, err)
		}
	}
	return nil, problem(ReasonStore, errors.New("middleware: session: changed too often"))
}

// own makes the identity that is being linked another one of the person who is signed in. One that
// belongs to somebody else here changes hands only if the person has confirmed that, and was then
// signed in as who they are now.
func (a *Auth) own(ctx context.Context, q *request, p *session, f *flow, g *grant, id *providers.Identity) *Problem {
	if pr := belongs(f, p); pr != nil {
		return pr
	}
	field, _ := p.record.Field(fieldUser)
	self, err := unpackAccount(field.Value)
	if err != nil {
		return problem(ReasonSessionChanged, err)
	}
	if g.user == p.meta.user {
		return nil
	}
	e, err := a.enrol(ctx, id)
	if err != nil {
		return problem(ReasonStore, err)
	}
	before := e.account.ID
	if e.isNew {
		before = self.ID
	}
	if before != self.ID && f.takes != e.key.ID {
		taken := problem(ReasonIdentityTaken, nil)
		taken.Provider = g.provider
		return a.move(taken, p, f, e.key.ID, a.landing(ctx, f))
	}
	e.account.ID, e.account.Provider = self.ID, g.provider
	if err := a.keep(ctx, e); err != nil {
		a.drop(ctx, e)
		return problem(ReasonStore, err)
	}
	if before == self.ID {
		return nil
	}
	// A sign-in of that account which ended in the same moment has kept what it found.
	if now, err := a.enrol(ctx, id); err != nil || now.account.ID != self.ID {
		if err == nil {
			a.drop(ctx, now)
			err = errors.New("middleware: account: changed meanwhile")
		}
		return problem(ReasonStore, err)
	}
	a.event(q, slog.LevelWarn, "account moved to another user", "", slog.String("provider", g.provider))
	// Who is signed in by it is signed in as somebody that it does not belong to any more.
	if err := errors.Join(a.estrange(ctx, before, e.key.ID), a.endAccount(ctx, e.key.ID, "", p.id)); err != nil {
		return problem(ReasonStore, err)
	}
	return nil
}

// noteEnded leaves word for the session's other tabs, see [Auth.status].
func (a *Auth) noteEnded(q *request, f *flow, result string) {
	s := q.session.Load()
	if !s.opens() {
		return
	}
	set, del := a.ending(s, f, result)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q), storeTime)
	defer cancel()
	err := a.store.Update(ctx, s.key(), sessionstore.Change{If: []sessionstore.Match{s.lineage()}, Set: set, Delete: del})
	if err != nil && !contested(err) {
		a.event(q, slog.LevelWarn, "end of a sign-in not noted", ReasonStore, slog.Any("error", err))
	}
}
