package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// extend adds what came back from a step-up or link to the session that it left. The person stays
// who they are. The steps that can say no come first; then the session is written; then the account changes
// hands, if it does. When that fails the session gets back what it had.
func (a *Auth) extend(ctx context.Context, q *request, f *flow, g grant, id *providers.Identity) (*outcome, *Problem) {
	p := *q.session.Load()
	var h *transfer
	if f.purpose == link {
		var problem *Problem
		if h, problem = a.own(ctx, &p, f, &g, id); problem != nil {
			return nil, problem
		}
	}
	places, err := a.listGrant(ctx, &p, g.token)
	if err != nil {
		a.letGo(ctx, h)
		return nil, problem(ReasonStore, err)
	}
	x, pr := a.add(ctx, &p, f, g)
	if pr != nil {
		a.letGo(ctx, h)
		return nil, pr
	}
	if err := a.unended(ctx, places); err != nil {
		a.letGo(ctx, h)
		a.undo(ctx, &x.session, &x.change)
		return nil, problem(ReasonSessionChanged, err)
	}
	if err := a.handOver(ctx, q, h, id, x.session.id); err != nil {
		a.undo(ctx, &x.session, &x.change)
		return nil, problem(ReasonStore, err)
	}
	a.overtaken(ctx, h, &x.session)
	if x.had && x.old.user != g.user {
		// Another account has taken its place: nobody uses that one's token any more.
		a.giveBack(ctx, &x.session, &x.old)
	}
	return x.outcome, nil
}

// extension is a session that was extended.
type extension struct {
	outcome *outcome
	session session             // before
	change  sessionstore.Change // that was made
	old     grant               // in whose place there is another
	had     bool
}

// add writes g into the session of p.
func (a *Auth) add(ctx context.Context, p *session, f *flow, g grant) (*extension, *Problem) {
	for range settleTries {
		if p := belongs(f, p); p != nil {
			return nil, p
		}
		if p := p.room(f); p != nil {
			return nil, p
		}
		old, had := p.grant(g.id())
		if f.purpose == stepUp && (!had || old.user != g.user) {
			return nil, problem(ReasonIdentity, errors.New("middleware: callback: another subject than before"))
		}
		now, m := a.now(), p.meta
		out := &outcome{session: p.id, deadline: m.deadline, persist: m.persist, user: m.user}
		c := sessionstore.Change{If: []sessionstore.Match{p.lineage()}, Expires: a.expiry(&m, now)}
		if !had { // nor has anybody made one meanwhile, whose account would be left without it
			name := prefixGrant + g.id()
			c.If = append(c.If, sessionstore.Match{Name: name, Version: versionOf(p.record, name)})
		}
		kept := p.keep(&c, g, len(f.need.ACR) > 0 || f.need.MaxAge > 0, now)
		if f.purpose == stepUp && (len(f.need.ACR) > 0 || f.need.MaxAge > 0) && p.standing == current {
			// The level has risen: what was stolen before is worth nothing now.
			out.secret = a.secrets[0].next(p.id, p.secret, m.user, p.born)
			m.rotate(out.secret, false, now)
			m.acr = g.acr
			c.If = append(c.If, sessionstore.Match{Name: fieldMeta, Version: p.metaVersion})
			c.Set = append(c.Set, sessionstore.Field{Name: fieldMeta, Value: m.pack(), Version: version()})
		}
		back, gone := a.cameBack(p, p, f, m.user)
		c.Set, c.Delete = append(c.Set, back...), gone
		err := a.write(ctx, p.key(), c)
		if err == nil {
			out.unmet = f.purpose == stepUp && len(missing(f.need.Scopes, kept.token.Scopes)) > 0
			return &extension{outcome: out, session: *p, change: c, old: old, had: had}, nil
		}
		if !contested(err) {
			if !decided(err) {
				a.undo(ctx, p, &c)
			}
			return nil, problem(ReasonStore, fmt.Errorf("middleware: session: %w", err))
		}
		again, err := a.load(ctx, p.id, p.secret)
		if err != nil {
			return nil, problem(ReasonStore, err)
		}
		if p.opens() && again.standing == before && again.born == p.born && again.meta.renewed.Equal(p.meta.renewed) {
			again.standing = previous // the request had a right to the session when it came, and RenewToken took it from nobody
		}
		p = &again
	}
	return nil, problem(ReasonStore, errors.New("middleware: session: changed too often"))
}

// undo makes of s what it was before c, if c was made, unless somebody has changed the same in it since. A
// session that c has made ends.
func (a *Auth) undo(ctx context.Context, s *session, c *sessionstore.Change) {
	back, key := reversal(s, c), s.key()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	undo := func(ctx context.Context) error { return a.write(ctx, key, back) }
	if err := undo(ctx); err != nil && !contested(err) {
		a.after(ctx, redeemTime, "sign-in not taken back", err, undo)
	}
}

// reversal returns the change that undoes c, which was made of s as it is.
func reversal(s *session, c *sessionstore.Change) sessionstore.Change {
	var back sessionstore.Change
	if c.Mode == sessionstore.MustExist {
		back.If = append(back.If, s.lineage())
	}
	for _, f := range c.Set {
		if f.Version != 0 {
			back.If = append(back.If, sessionstore.Match{Name: f.Name, Version: f.Version})
		}
	}
	if c.Mode == sessionstore.MustNotExist {
		back.Expires = time.Unix(0, 0)
		return back
	}
	restore := func(name string) {
		if was, ok := s.record.Field(name); ok {
			back.Set = append(back.Set, was)
			return
		}
		back.Delete = append(back.Delete, name)
	}
	for _, f := range c.Set {
		restore(f.Name)
	}
	for _, name := range c.Delete {
		restore(name)
	}
	return back
}

// listGrant lists s under the session at the provider that t is of, if it says so: a logout that starts
// there finds what was linked or came with a step-up, too.
func (a *Auth) listGrant(ctx context.Context, s *session, t *providers.Token) (entry, error) {
	e := entry{sid: s.id}
	if t.Session == "" {
		return e, nil
	}
	key := a.site.providerSession(t.Issuer, t.Session)
	mark, err := a.enlist(ctx, key, s.id, s.meta.deadline, "")
	e.places = []place{{key, mark}}
	return e, err
}

// unended reports whether a logout has named e since it was listed.
func (a *Auth) unended(ctx context.Context, e entry) error {
	for _, p := range e.places {
		if ok, err := a.listed(ctx, p.key, e.sid, p.mark); err != nil || !ok {
			return errors.Join(err, errEnded)
		}
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
		a.visitorEvent(q, slog.LevelWarn, "end of a sign-in not noted", ReasonStore, slog.Any("error", err))
	}
}
