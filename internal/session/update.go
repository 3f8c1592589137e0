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

// An edit is what a request changes in its session. Each change is compared with what the handler saw, not with
// what other requests have saved since.
type edit struct {
	*Snapshot
	set       []sessionstore.Field
	del       []string
	moved     bool   // the deadline changes
	remembers bool   // RememberMe changes
	user      string // the user when the handler saw the session
}

// update changes the record of s. It tries again where another request has changed the same.
func (q *Request) update(s *View, sn *Snapshot, set []sessionstore.Field, del []string) error {
	a := q.Sessions
	unchanged := len(set)+len(del) == 0 && !sn.Modified && !q.renew
	if unchanged && (a.upToDate(s, a.Env.Clock()) || !a.Touches.Take(s.touchNote(), a.Env.Clock())) {
		return nil // most requests end here, before they allocate what a write needs
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
			return errReplaced // the holder of the new cookie would get what this request writes
		}
		now := a.Env.Clock()
		secret, m := q.amend(s, &e, now)
		c := a.change(s, &e, m, now)
		if e.moved && m.User != "" { // the index first: it must not forget a session that still exists
			err := a.Index.Extend(ctx, m.User, s.ID, m.Deadline)
			if errors.Is(err, ErrEnded) { // all sessions of the user were ended, perhaps not this one: try again
				continue
			}
			if err != nil {
				return err
			}
		}
		if s.guest() && a.Guests.Owes(s.Record.Expires, c.Expires, now) && !q.prolong(ctx, now) {
			c.Expires = time.Time{} // the session ends when it would have ended without this request
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
			return nil // the next request writes it
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

// amend returns the secret and the meta of s after e.
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

// change returns the change that makes e and m part of the record of s.
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

// reload returns s as other requests have changed it. The request may still save its changes, because its
// cookie opened the session when it came. It reads the changes of others only if its cookie still opens the
// session.
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
		q.data.base = q.data.baseline(q.Now.Load()) // the values that the handler saw
	}
	return &again, nil
}

// sendCookie sends the cookie of s again if its secret or its lifetime has changed.
func (q *Request) sendCookie(s *View, secret string, m *Meta) {
	kept := secret == s.Secret && m.Persist == s.Meta.Persist && m.Deadline.Equal(s.Meta.Deadline)
	if kept || s.Standing != Current || !q.header.Open() {
		return
	}
	q.header.Set(s.ID, secret, m.Deadline, m.Persist, secret != s.Secret)
}
