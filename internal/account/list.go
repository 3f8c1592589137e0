package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A seat is the place of a session that is about to be saved in the list of an account.
type seat struct {
	enrolment   *Enrolment
	sid, device string
	deadline    time.Time
}

// List saves the account of e as it is now, and lists a session that is about to be saved: under the account,
// in the same change, and under the session at the provider. A sign-in that decides for another session calls
// List again; the account is saved by then.
//
// The mark has to be the one that was read before the app was asked. A sign-out of everything that came since
// refuses the sign-in. The account is saved all the same: the app knows the person by then. An account that was
// given away refuses the sign-in, too: its profile changes first, then its mark.
func (a *Accounts) List(ctx context.Context, e *Enrolment, device, sid string, at ProviderSession, deadline time.Time) (Entry, error) {
	s := &seat{e, sid, keys.Clip(device, maxDevice), deadline}
	entry := Entry{sid: sid, began: a.Env.Clock(), Places: make([]place, 0, 2)}
	if e.over { // what is stored may have changed since it was listed before
		if err := a.reread(ctx, e); err != nil {
			return Entry{}, err
		}
	} else if err := a.findable(ctx, e); err != nil {
		a.Drop(ctx, e)
		return Entry{}, err
	}
	c, latest, err := a.seatChange(ctx, s)
	if err != nil {
		return Entry{}, err
	}
	us := append(make([]sessionstore.KeyedChange, 0, 2), sessionstore.KeyedChange{Key: e.Key, Change: c})
	if at.ID != "" {
		us = append(us, sessionstore.KeyedChange{Key: a.providerSessionKey(at.Issuer, at.ID), Change: a.unreadChange(s, c.Delete, latest)})
	}
	errs := a.Env.WriteAll(ctx, us)
	if err := a.seated(ctx, s, &c, errs[0]); err != nil {
		return Entry{}, err
	}
	entry.Places = append(entry.Places, place{e.Key, e.marked()})
	if at.ID == "" {
		return entry, nil
	}
	mark, err := uint64(0), errs[1]
	if env.Contested(err) { // a logout has named that session before
		mark, err = a.enlist(ctx, us[1].Key, sid, deadline, s.device)
	} else if err != nil {
		err = fmt.Errorf("middleware: index: %w", err)
	}
	if err != nil {
		return Entry{}, err
	}
	entry.Places = append(entry.Places, place{us[1].Key, mark})
	return entry, nil
}

// seatChange returns the change that lists s under its account, and saves that if it is not saved yet. Once the
// account is saved, the mark is condition enough: a change that gives the account away is followed by another
// mark.
func (a *Accounts) seatChange(ctx context.Context, s *seat) (c sessionstore.Change, latest time.Time, err error) {
	e := s.enrolment
	if !e.over {
		c = a.profile(e)
	}
	c.If = append(c.If, sessionstore.Match{Name: fieldMark, Version: e.marked()})
	c.Tier = sessionstore.Member
	latest, err = a.enter(ctx, kindAccount, e.rec, &c, s.sid, s.deadline, s.device)
	return c, latest, err
}

// unreadChange returns the change that lists s under its session at the provider, of which nobody knows what is
// stored. It has no mark unless a logout has named that session. Entries that have run out go with those of the
// account. The record lasts until the latest deadline of the account: a session of this person that is
// listed in it is listed there as well.
func (a *Accounts) unreadChange(s *seat, gone []string, latest time.Time) sessionstore.Change {
	value := entryValue(s.deadline, s.device, a.Env.Clock())
	return sessionstore.Change{
		Mode:    sessionstore.MayExist,
		If:      []sessionstore.Match{{Name: fieldMark}},
		Set:     []sessionstore.Field{{Name: s.sid, Value: value, Version: env.Version()}},
		Delete:  gone,
		Expires: a.lasting(latest),
		Tier:    sessionstore.Member,
	}
}

// seated sees to it that s is listed under its account, for which c was tried; err is what came of that.
func (a *Accounts) seated(ctx context.Context, s *seat, c *sessionstore.Change, err error) error {
	e := s.enrolment
	for range session.SettleTries {
		if !e.over {
			e.note(c, err)
		}
		if err == nil {
			return nil
		}
		if !env.Contested(err) {
			if !e.over {
				a.Drop(ctx, e)
			}
			return fmt.Errorf("middleware: account: %w", err)
		}
		if err := a.reread(ctx, e); err != nil {
			return err
		}
		again, _, failed := a.seatChange(ctx, s)
		if failed != nil {
			return failed
		}
		*c, err = again, a.Env.Write(ctx, e.Key, again)
	}
	return errors.New("middleware: account: changed too often")
}

// reread reads the record of e anew, after a change to it was refused or before another session is listed in
// it. It is [session.ErrEnded] if a sign-out of everything came meanwhile, and another error if the account is
// somebody else's now.
func (a *Accounts) reread(ctx context.Context, e *Enrolment) error {
	err := a.refresh(ctx, e)
	own, marked := false, false
	if err == nil {
		own = env.VersionOf(e.rec, fieldAccount) == e.version
		marked = env.VersionOf(e.rec, fieldMark) != e.marked()
	}
	switch {
	case err != nil:
	case !e.over && own && !marked:
		return nil // nothing is in the way any more
	case !e.over && own: // the profile is as it was found: it is saved, whatever becomes of the sign-in
		err = a.keep(ctx, e)
	case !e.over && e.IsNew:
		err = sessionstore.ErrConflict
	default:
		err = a.unchanged(ctx, e)
	}
	if err != nil {
		if !e.over {
			a.Drop(ctx, e)
		}
		return fmt.Errorf("middleware: account: %w", err)
	}
	e.over = true // or another sign-in of this person ended at the same time: either profile will do
	if marked {
		return session.ErrEnded
	}
	return nil
}
