package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// Commit saves what the request changed, before its answer begins with that status. A change that cannot be saved,
// because the session is not the request's or has ended, refuses an answer that would say that it was. One
// to a request that asked for no change, by its method, which is safe then, RenewToken or a sign-out, is given: a page that counts its
// visits is as for a visitor. So is one that reports a failure, and that of a request which has signed out.
func (q *Request) Commit(safe bool, status int) error {
	sn, err := q.Snap()
	if err == nil {
		err = q.Save(sn)
	}
	q.mu.Lock()
	if err == nil {
		err = q.refused
	}
	asked := !safe || q.renew || q.SignOut
	q.mu.Unlock()
	if !errors.Is(err, ErrNotSaved) || status < http.StatusBadRequest && asked && !q.left {
		return err
	}
	q.Sessions.Env.Log.Visitor(q.Outer, slog.LevelInfo, "session not saved", NotSavedReason(err))
	q.drop(&sn)
	return nil
}

// drop forgets what the request could not save.
func (q *Request) drop(sn *Snapshot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pages, q.forget, q.renew, q.refused = nil, nil, false, nil
	if sn.Modified {
		q.Data.base = sn.frames
	}
}

// Save writes sn and whatever else is to be written, and then tells the log.
func (q *Request) Save(sn Snapshot) error {
	defer q.tell()
	return q.write(sn)
}

// write is save for a caller who holds the manager's lock: what there is to tell waits for [request.tell].
// One request writes one thing at a time.
func (q *Request) write(sn Snapshot) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.SignOut = q.SignOut || sn.ended
	q.renew = q.renew || sn.renewed

	s := q.Now.Load()
	if q.SignOut {
		if err := q.end(s); err != nil {
			return err
		}
		q.SignOut, q.renew, q.left = false, false, true
		q.Data.left(s, sn.ended)
		if s.Standing < Before || s.entitled { // else it was not the request's to end, nor is the cookie to replace
			s = &View{}
			q.Now.Store(s)
		}
	}
	if sn.Modified && q.Data.Shown != nil && q.Data.Shown.ID != s.ID {
		return fmt.Errorf("%w: what OnLogin changes is saved with the sign-in", ErrNotSaved)
	}
	if q.Data.base == nil && sn.Modified {
		q.Data.base = q.Data.Baseline(s)
	}
	set, del := sn.Diff(q.Data.base)
	slices.Sort(q.forget) // by two calls of SavePage, or of ClearPage: a change names a field once
	set, del = append(set, q.pages...), append(del, slices.Compact(q.forget)...)

	var err error
	switch {
	case s.writable():
		err = q.update(s, &sn, set, del)
	case len(set) == 0:
		q.renew = false
		return nil // nothing to keep
	default:
		if err = s.unsavable(); err == nil {
			err = q.create(s, &sn, set)
		}
	}
	if err != nil {
		return err
	}
	q.pages, q.forget, q.renew = nil, nil, false
	if sn.Modified {
		q.Data.base = sn.frames
	}
	return nil
}

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
	if unchanged && (a.rests(s, a.Env.Clock()) || !a.Touches.Take(s.touchNote(), a.Env.Clock())) {
		return nil // as most requests: before anything is made that only a write needs
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	e := edit{
		Snapshot: sn, set: set, del: del,
		moved:     sn.Modified && !sn.deadline.Equal(s.Meta.Deadline),
		remembers: sn.Modified && sn.frames[rememberMe] != q.Data.base[rememberMe],
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
		q.became(s, c, m)
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
	if q.Data.base == nil && q.Data.loaded != nil {
		q.Data.base = q.Data.Baseline(q.Now.Load()) // what the handler saw
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

// became notes what c made of s, for the rest of the request.
func (q *Request) became(s *View, c sessionstore.Change, m Meta) {
	n := *s
	c.If = nil
	if rec, err := s.Record.Apply(c); err == nil {
		n.Record = rec
	}
	if f, ok := n.Record.Field(FieldMeta); ok {
		n.MetaVersion = f.Version
	}
	n.Meta = m
	q.Now.Store(&n)
}

// taken notes that Take has removed key.
func (q *Request) taken(key string, c sessionstore.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.Now.Load()
	q.became(s, c, s.Meta)
	if q.Data.base == nil {
		return
	}
	delete(q.Data.base, key)
}

// end signs out.
func (q *Request) end(s *View) error {
	a := q.Sessions
	if s.Standing == Withheld {
		return ErrWithheld
	}
	if s.Replaced() {
		return nil // not its session, and the browser's cookie may be a better one by now
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	if err := q.endFormer(ctx); err != nil {
		return err
	}
	if s.writable() {
		if err := a.Env.Store.Delete(ctx, s.Key()); err != nil {
			return fmt.Errorf("middleware: session: %w", err)
		}
		a.Index.Remove(ctx, s.Meta.User, s.ID)
		q.note(slog.LevelInfo, "signed out", "")
	}
	if s.ID != "" && q.Header.Open() {
		q.Header.Clear()
	}
	return nil
}

// Late tells the log what a handler changed after its answer had begun and did not save.
func (q *Request) Late(path string) {
	q.mu.Lock()
	loaded, pending := q.Data.loaded != nil, len(q.pages)+len(q.forget) > 0 || q.SignOut || q.renew
	noted := len(q.notes) > 0
	q.mu.Unlock()
	if noted {
		q.tell()
	}
	if !loaded && !pending {
		return
	}
	sn, err := q.Snap()
	if err == nil && !pending && sn.Modified {
		q.mu.Lock()
		base := q.Data.base
		if base == nil {
			base = q.Data.Baseline(q.Now.Load())
		}
		q.mu.Unlock()
		set, del := sn.Diff(base)
		pending = len(set)+len(del) > 0 || sn.ended || sn.renewed
	}
	if err != nil || pending {
		q.mu.Lock()
		told := q.saved
		q.mu.Unlock()
		switch {
		case told == nil || errors.Is(told, errNoCookie):
		case errors.Is(told, ErrNotSaved):
			q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelInfo, "session not saved", NotSavedReason(told))
			return
		default:
			q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelWarn, "session not saved", ReasonOf(told), slog.Any("error", told))
			return
		}
		q.Sessions.Env.Log.Visitor(context.WithoutCancel(q.Outer), slog.LevelWarn, "session changed too late", reason.LateWrite, slog.String("path", path))
	}
}

// SaveNow saves what the request changed so far.
func (q *Request) SaveNow() error {
	sn, err := q.Snap()
	if err == nil {
		err = q.Save(sn)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.saved = err
	if err == nil {
		err = q.refused
	}
	return err
}

// Leave signs out with the next save, and takes what is in the session out of the manager.
func (q *Request) Leave() {
	q.empty()
	q.mu.Lock()
	q.SignOut = true
	q.mu.Unlock()
}
