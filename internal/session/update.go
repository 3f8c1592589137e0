package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// An edit is what a request changes in its session. What the handler changed is judged against what
// it saw, not against what others have made of it since.
type edit struct {
	*Snapshot
	set       []sessionstore.Field
	del       []string
	moved     bool   // the deadline is another one
	remembers bool   // and so is whether the cookie outlives the browser
	user      string // whose session it was
}

// update changes the record of s.
func (q *Request) update(s *View, sn *Snapshot, set []sessionstore.Field, del []string) error {
	a := q.Sessions
	unchanged := len(set)+len(del) == 0 && !sn.Modified && !q.renew
	if unchanged && (a.upToDate(s, a.Env.Clock()) || !a.Touches.Take(s.touchNote(), a.Env.Clock())) {
		return nil // as most requests: before anything is made that only a write needs
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	e := edit{
		Snapshot: sn, set: set, del: del,
		moved:     sn.Modified && !sn.deadline.Equal(s.Meta.Deadline),
		remembers: sn.Modified && sn.frames[rememberMe] != q.data.base[rememberMe],
		user:      s.Meta.User,
	}
	for {
		if q.renew && s.Standing != Current {
			return errReplaced // whoever replaced the cookie would have what the request writes
		}
		now := a.Env.Clock()
		secret, m := q.amend(s, &e, now)
		c := a.change(s, &e, m, now)
		if e.moved && m.User != "" { // the index first: it must not forget a session that lives on
			err := a.Index.Extend(ctx, m.User, s.ID, m.Deadline)
			if errors.Is(err, ErrEnded) { // perhaps all others were: try again, and see
				continue
			}
			if err != nil {
				return err
			}
		}
		if s.guest() && a.Guests.Owes(s.Record.Expires, c.Expires, now) && !q.prolong(ctx, now) {
			c.Expires = time.Time{} // it lasts as long as it would have
			a.Touches.undone(s.touchNote())
		}
		if len(c.Set) == 0 && len(c.Delete) == 0 && c.Expires.IsZero() {
			return nil
		}
		err := a.Env.Store.Update(ctx, s.Key(), c)
		if unchanged {
			if err != nil && !env.Contested(err) {
				a.Touches.undone(s.touchNote())
				q.note(slog.LevelWarn, "session not touched", reason.Store, slog.Any("error", err))
			}
			return nil // the next request will do it
		}
		if env.Contested(err) {
			if s, err = q.reload(ctx, s); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("middleware: session: %w", err)
		}
		q.show(s, c, m)
		q.sendCookie(s, secret, &m)
		return nil
	}
}

// amend returns the secret and the meta that s has after e.
func (q *Request) amend(s *View, e *edit, now time.Time) (secret string, m Meta) {
	secret, m = s.Secret, s.Meta
	if q.renew {
		secret = q.Sessions.Env.Ring[0].Next(s.ID, s.Secret, m.User, s.Born)
		m.Rotate(secret, false, now)
		m.Renewed = now
	}
	if e.moved && m.User == e.user {
		m.Deadline = e.deadline.UTC().Truncate(time.Millisecond)
	}
	if e.remembers && m.User == e.user {
		m.Persist = e.Persist
	}
	if secret == s.Secret && s.shown(now) {
		m.seen(now)
	}
	return secret, m
}

// change returns the change by which s gets what e says, and m.
func (a *Sessions) change(s *View, e *edit, m Meta, now time.Time) sessionstore.Change {
	c := sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Set: e.set, Delete: e.del, Expires: a.touch(s, now)}
	if m == s.Meta {
		return c
	}
	c.If = append(c.If, sessionstore.Match{Name: FieldMeta, Version: s.MetaVersion})
	c.Set = append(c.Set[:len(c.Set):len(c.Set)], sessionstore.Field{Name: FieldMeta, Value: m.Pack(), Version: env.Version()})
	if end := a.Expiry(&m, now); e.moved || end.After(s.Record.Expires) {
		c.Expires = end
	}
	return c
}

// reload returns s as others have made it. What the handler wrote is still taken: the request had a
// right to write it when it came. What others made of the session it sees only if its cookie still
// opens it.
func (q *Request) reload(ctx context.Context, s *View) (*View, error) {
	again, err := q.Sessions.Load(ctx, s.ID, s.Secret)
	if err != nil {
		return nil, err
	}
	if again.Born != s.Born {
		return nil, errGone
	}
	again.entitled = true
	if q.data.base == nil && q.data.loaded != nil {
		q.data.base = q.data.baseline(q.Now.Load()) // what the handler saw
	}
	return &again, nil
}

// sendCookie sends the cookie of s again, if it is another one now.
func (q *Request) sendCookie(s *View, secret string, m *Meta) {
	kept := secret == s.Secret && m.Persist == s.Meta.Persist && m.Deadline.Equal(s.Meta.Deadline)
	if kept || s.Standing != Current || !q.Header.Open() {
		return
	}
	q.Header.Set(s.ID, secret, m.Deadline, m.Persist, secret != s.Secret)
}
