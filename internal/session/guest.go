package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/guest"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// create makes a record for the session of a guest for whom nothing was stored yet. The guests' budget may
// refuse it.
func (q *Request) create(s *View, sn *Snapshot, set []sessionstore.Field) error {
	a := q.Sessions
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	n := View{ID: s.ID, Secret: s.Secret, Standing: Current, Born: env.Version(), MetaVersion: env.Version()}
	given := s.Standing == Unstored && !q.renew // not after RenewToken: the cookie may be known to others
	if !given {
		if !q.header.Open() {
			return errNoCookie
		}
		id, err := a.Env.RandomText(16)
		if err != nil {
			return err
		}
		n.ID, n.Secret = id, a.Env.Ring[0].First(id)
	}
	now := a.Env.Clock()
	n.Meta = Meta{Created: now, Deadline: now.Add(a.Manager.Lifetime), Current: keys.Hash(n.Secret), Persist: sn.Persist}
	if sn.Modified {
		n.Meta.Deadline = sn.deadline
	}
	c := sessionstore.Change{
		Mode: sessionstore.MustNotExist,
		Set: append([]sessionstore.Field{
			a.BornField(n.Born),
			{Name: FieldMeta, Value: n.Meta.Pack(), Version: n.MetaVersion},
		}, set...),
		Expires: a.Expiry(&n.Meta, now),
		Tier:    sessionstore.Guest,
	}
	err := a.Guests.Pay(ctx, a.Env.Store, guest.Birth, now)
	if err == nil {
		err = a.Env.Store.Update(ctx, n.Key(), c)
	}
	if given && (errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrFull)) {
		// Another tab of this browser may have been first, and may have had the last place in the budget.
		again, failed := a.Load(ctx, s.ID, s.Secret)
		if failed != nil {
			return failed
		}
		if again.Born != 0 { // a sign-in may have changed it since, as it may change any session
			again.entitled = true
			sn.deadline = again.Meta.Deadline
			return q.update(&again, sn, set, nil)
		}
		if errors.Is(err, sessionstore.ErrExists) {
			return errGone
		}
	}
	if err != nil {
		return fmt.Errorf("middleware: session: %w", err)
	}
	q.show(&n, c, n.Meta)
	if (!given || sn.Persist) && q.header.Open() { // otherwise the browser has it
		q.header.Set(n.ID, n.Secret, n.Meta.Deadline, sn.Persist, q.renew)
	}
	return nil
}

// prolong pays for a longer life of a guest's session, and reports whether the budget allows it.
func (q *Request) prolong(ctx context.Context, now time.Time) bool {
	a := q.Sessions
	err := a.Guests.Pay(ctx, a.Env.Store, guest.Prolonging, now)
	if err != nil {
		q.note(slog.LevelWarn, "session not touched", reason.Store, slog.Any("error", err))
	}
	return err == nil
}

// guest reports whether s is in the guests' budget. A session that was taken over from another scs store never
// is: strangers cannot make more of those.
func (s *View) guest() bool {
	if s.Meta.User != "" {
		return false
	}
	_, former := s.Record.Field(FieldFormer)
	return !former
}
