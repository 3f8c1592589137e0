package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// storeTime is how long a change of the session may take. It is not bound to the client: what a
// handler wrote is saved although the person has closed the tab.
const storeTime = 5 * time.Second

// Save saves what the handler changed in the session so far. An answer that has not begun is saved
// by itself; Save is for streams, and for whoever wants to know the error. It returns [ErrNotSaved]
// if the session ended meanwhile, if the request never had a right to it, or if it would need a
// cookie and the answer's header has left. [Answer] makes 409 of that, and a page that offers the form again.
//
// A change that is not saved refuses the handler's answer, whether or not it asked: an answer below 400 is replaced
// by 409 with [ReasonNotSaved]. GET, HEAD, OPTIONS and TRACE are answered as for a visitor, and nothing is kept.
func Save(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	sn, err := q.snap()
	if err == nil {
		err = q.save(sn)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.saved = err
	if err == nil {
		err = q.refused
	}
	return err
}

// SignOut ends the session of this request, in the store and in the browser, when the answer
// begins. Nobody signed in is no error. Where the answer has begun, call [Save] next. Nothing that
// was in the session stays, nor is it read any more; what this request puts in is kept for whoever is there now.
func SignOut(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	q.empty()
	q.mu.Lock()
	q.signOut = true
	q.mu.Unlock()
	return nil
}

// version returns a version for a field that is written anew: random, so that a field that was
// deleted and made again is not mistaken for its predecessor.
func version() uint64 { return rand.Uint64() | 1 }

// commit saves what the request changed, before its answer begins with that status. A change that cannot be saved,
// because the session is not the request's or has ended, refuses an answer that would say that it was. One
// to a request that asked for no change, by its method, RenewToken or a sign-out, is given: a page that counts its
// visits is as for a visitor. So is one that reports a failure, and that of a request which has signed out.
func (q *request) commit(status int) error {
	sn, err := q.snap()
	if err == nil {
		err = q.save(sn)
	}
	q.mu.Lock()
	if err == nil {
		err = q.refused
	}
	asked := !safe(q.r.Method) || q.renew || q.signOut
	q.mu.Unlock()
	if !errors.Is(err, ErrNotSaved) || status < http.StatusBadRequest && asked && !q.left {
		return err
	}
	q.auth.visitorEvent(q, slog.LevelInfo, "session not saved", unsaved(err))
	q.drop(&sn)
	return nil
}

// drop forgets what the request could not save.
func (q *request) drop(sn *snapshot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pages, q.forget, q.renew, q.refused = nil, nil, false, nil
	if sn.modified {
		q.data.base = sn.frames
	}
}

// save writes sn and whatever else is to be written, and then tells the log.
func (q *request) save(sn snapshot) error {
	defer q.tell()
	return q.write(sn)
}

// write is save for a caller who holds the manager's lock: what there is to tell waits for [request.tell].
// One request writes one thing at a time.
func (q *request) write(sn snapshot) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.signOut = q.signOut || sn.ended
	q.renew = q.renew || sn.renewed

	s := q.session.Load()
	if q.signOut {
		if err := q.end(s); err != nil {
			return err
		}
		q.signOut, q.renew, q.left = false, false, true
		q.data.left(s, sn.ended)
		if s.standing < before || s.entitled { // else it was not the request's to end, nor is the cookie to replace
			s = &session{}
			q.session.Store(s)
		}
	}
	if sn.modified && q.data.shown != nil && q.data.shown.id != s.id {
		return fmt.Errorf("%w: what OnLogin changes is saved with the sign-in", ErrNotSaved)
	}
	if q.data.base == nil && sn.modified {
		q.data.base = q.data.baseline(s)
	}
	set, del := sn.diff(q.data.base)
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
	if sn.modified {
		q.data.base = sn.frames
	}
	return nil
}

// An edit is what a request changes in its session. What the handler changed is judged against what
// it saw, not against what others have made of it since.
type edit struct {
	*snapshot
	set       []sessionstore.Field
	del       []string
	moved     bool   // the deadline is another one
	remembers bool   // and so is whether the cookie outlives the browser
	user      string // whose session it was
}

// update changes the record of s.
func (q *request) update(s *session, sn *snapshot, set []sessionstore.Field, del []string) error {
	a := q.auth
	unchanged := len(set)+len(del) == 0 && !sn.modified && !q.renew
	if unchanged && (a.rests(s, a.now()) || !a.chores.take(s.chore(), a.now())) {
		return nil // as most requests: before anything is made that only a write needs
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context), storeTime)
	defer cancel()
	e := edit{
		snapshot: sn, set: set, del: del,
		moved:     sn.modified && !sn.deadline.Equal(s.meta.deadline),
		remembers: sn.modified && sn.frames[rememberMe] != q.data.base[rememberMe],
		user:      s.meta.user,
	}
	for {
		if q.renew && s.standing != current {
			return errReplaced // whoever replaced the cookie would have what the request writes
		}
		now := a.now()
		secret, m := q.amend(s, &e, now)
		c := a.change(s, &e, m, now)
		if e.moved && m.user != "" { // the index first: it must not forget a session that lives on
			_, err := a.enlist(ctx, indexKey(m.user), s.id, m.deadline, "")
			if errors.Is(err, errEnded) { // perhaps all others were: try again, and see
				continue
			}
			if err != nil {
				return err
			}
		}
		if a.tally.owes(s, c.Expires, now) && !q.prolong(ctx, now) {
			c.Expires = time.Time{} // it lasts as long as it would have
			a.chores.undone(s.chore())
		}
		if len(c.Set) == 0 && len(c.Delete) == 0 && c.Expires.IsZero() {
			return nil
		}
		err := a.store.Update(ctx, s.key(), c)
		if unchanged {
			if err != nil && !contested(err) {
				a.chores.undone(s.chore())
				q.note(slog.LevelWarn, "session not touched", ReasonStore, slog.Any("error", err))
			}
			return nil // the next request will do it
		}
		if contested(err) {
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
func (q *request) amend(s *session, e *edit, now time.Time) (secret string, m meta) {
	secret, m = s.secret, s.meta
	if q.renew {
		secret = q.auth.secrets[0].next(s.id, s.secret, m.user, s.born)
		m.rotate(secret, false, now)
		m.renewed = now
	}
	if e.moved && m.user == e.user {
		m.deadline = e.deadline.UTC().Truncate(time.Millisecond)
	}
	if e.remembers && m.user == e.user {
		m.persist = e.persist
	}
	if secret == s.secret && s.shown(now) {
		m.seen(now)
	}
	return secret, m
}

// change returns the change by which s gets what e says, and m.
func (a *Auth) change(s *session, e *edit, m meta, now time.Time) sessionstore.Change {
	c := sessionstore.Change{If: []sessionstore.Match{s.lineage()}, Set: e.set, Delete: e.del, Expires: a.touch(s, now)}
	if m == s.meta {
		return c
	}
	c.If = append(c.If, sessionstore.Match{Name: fieldMeta, Version: s.metaVersion})
	c.Set = append(c.Set[:len(c.Set):len(c.Set)], sessionstore.Field{Name: fieldMeta, Value: m.pack(), Version: version()})
	if end := a.expiry(&m, now); e.moved || end.After(s.record.Expires) {
		c.Expires = end
	}
	return c
}

// reload returns s as others have made it. What the handler wrote is still taken: the request had a
// right to write it when it came. What others made of the session it sees only if its cookie still
// opens it.
func (q *request) reload(ctx context.Context, s *session) (*session, error) {
	again, err := q.auth.load(ctx, s.id, s.secret)
	if err != nil {
		return nil, err
	}
	if again.born != s.born {
		return nil, errGone
	}
	again.entitled = true
	if q.data.base == nil && q.data.loaded != nil {
		q.data.base = q.data.baseline(q.session.Load()) // what the handler saw
	}
	return &again, nil
}

// sendCookie sends the cookie of s again, if it is another one now.
func (q *request) sendCookie(s *session, secret string, m *meta) {
	kept := secret == s.secret && m.persist == s.meta.persist && m.deadline.Equal(s.meta.deadline)
	h := q.writer.open()
	if h == nil || kept || s.standing != current {
		return
	}
	cookies := &q.auth.cookies
	cookies.setSession(h, s.id, secret, m.deadline, cookies.persist || m.persist)
	if secret != s.secret {
		q.retireBindings(h)
	}
}

// became notes what c made of s, for the rest of the request.
func (q *request) became(s *session, c sessionstore.Change, m meta) {
	n := *s
	c.If = nil
	if rec, err := s.record.Apply(c); err == nil {
		n.record = rec
	}
	if f, ok := n.record.Field(fieldMeta); ok {
		n.metaVersion = f.Version
	}
	n.meta = m
	q.session.Store(&n)
}

// taken notes that Take has removed key.
func (q *request) taken(key string, c sessionstore.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.session.Load()
	q.became(s, c, s.meta)
	if q.data.base == nil {
		return
	}
	delete(q.data.base, key)
}

// end signs out.
func (q *request) end(s *session) error {
	a := q.auth
	if s.standing == withheld {
		return errWithheld
	}
	if s.replaced() {
		return nil // not its session, and the browser's cookie may be a better one by now
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context), storeTime)
	defer cancel()
	if err := q.disinherit(ctx); err != nil {
		return err
	}
	if s.writable() {
		if err := a.store.Delete(ctx, s.key()); err != nil {
			return fmt.Errorf("middleware: session: %w", err)
		}
		a.delist(ctx, s.meta.user, s.id)
		q.note(slog.LevelInfo, "signed out", "")
	}
	if h := q.writer.open(); h != nil && s.id != "" {
		a.cookies.clear(h, a.cookies.session, a.cookies.sameSite)
		q.retireBindings(h)
	}
	return nil
}
