package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// create makes the record of a session that nothing was stored for.
func (q *request) create(s *session, sn *snapshot, set []sessionstore.Field) error {
	a := q.auth
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context), storeTime)
	defer cancel()
	h := q.writer.open()
	n := session{id: s.id, secret: s.secret, standing: current, born: version(), metaVersion: version()}
	given := s.standing == unborn && !q.renew // RenewToken: whoever else knows the cookie loses it
	if !given {
		if h == nil {
			return errNoCookie
		}
		id, err := a.randomText(16)
		if err != nil {
			return err
		}
		n.id, n.secret = id, a.secrets[0].first(id)
	}
	now := a.now()
	n.meta = meta{created: now, deadline: now.Add(a.sessions.Lifetime), current: hash(n.secret), persist: sn.persist}
	if sn.modified {
		n.meta.deadline = sn.deadline
	}
	c := sessionstore.Change{
		Mode: sessionstore.MustNotExist,
		Set: append([]sessionstore.Field{
			a.site.born(n.born),
			{Name: fieldMeta, Value: n.meta.pack(), Version: n.metaVersion},
		}, set...),
		Expires: a.expiry(&n.meta, now),
		Tier:    sessionstore.Guest,
	}
	err := a.tally.pay(ctx, a.store, birth, now)
	if err == nil {
		err = a.store.Update(ctx, n.key(), c)
	}
	if given && (errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrFull)) {
		// Another tab of this browser was first, with the last place for a guest maybe.
		again, failed := a.load(ctx, s.id, s.secret)
		if failed != nil {
			return failed
		}
		if again.born != 0 { // perhaps somebody has signed in to it since, as to one that was there
			again.entitled = true
			sn.deadline = again.meta.deadline
			return q.update(&again, sn, set, nil)
		}
		if errors.Is(err, sessionstore.ErrExists) {
			return errGone
		}
	}
	if err != nil {
		return fmt.Errorf("middleware: session: %w", err)
	}
	q.became(&n, c, n.meta)
	if h != nil && (!given || sn.persist) { // else the browser has it
		a.cookies.setSession(h, n.id, n.secret, n.meta.deadline, a.cookies.persist || sn.persist)
	}
	if h != nil && q.renew {
		q.retireBindings(h)
	}
	return nil
}

// prolong pays for a longer life of the session of a guest, and reports whether it gets one.
func (q *request) prolong(ctx context.Context, now time.Time) bool {
	a := q.auth
	err := a.tally.pay(ctx, a.store, prolonging, now)
	if err != nil {
		q.note(slog.LevelWarn, "session not touched", ReasonStore, slog.Any("error", err))
	}
	return err == nil
}
