package signin

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/guest"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// claim makes this process the one that redeems f. It returns [sessionstore.ErrExists] if another callback was
// first. An error that leaves open whether the claim was written comes with the redemption, which is given up.
func (a *SignIns) claim(ctx context.Context, f *Flow) (*Redemption, error) {
	return a.claimUntil(ctx, f, f.expires.Add(redemptionRest), sessionstore.Member)
}

// claimDenied is claim for an answer that says no. Anybody can start a sign-in and make up that answer, as often
// as they like, and no provider hears of it. So the record is a guest's, and is paid for from the guests'
// budget. Where there is no room it is [sessionstore.ErrFull].
func (a *SignIns) claimDenied(ctx context.Context, f *Flow) (*Redemption, error) {
	until := f.expires.Add(redemptionRest)
	if err := a.payFor(ctx, until); err != nil {
		return nil, err
	}
	return a.claimUntil(ctx, f, until, sessionstore.Guest)
}

// maxUnits is the highest price of a guest's record.
const maxUnits = 16

// payFor pays for a guest's record that lasts until then: the price of a guest's session for each period that
// such a session lasts unused.
func (a *SignIns) payFor(ctx context.Context, until time.Time) error {
	now := a.env.Clock()
	for left := max(1, min(maxUnits, int(until.Sub(now)/a.sessions.AnonymousIdle)+1)); left > 0; left-- {
		err := a.sessions.Guests.Pay(ctx, a.env.Store, guest.Birth, now)
		if env.Unreached(err) && ctx.Err() == nil {
			err = a.sessions.Guests.Pay(ctx, a.env.Store, guest.Birth, now) // at worst it has paid twice
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// claimUntil writes the claim, which lasts until then. If the store's answer is lost, [env.Env.Write] confirms the
// claim by writing it once more: with a store that waits for replicas, no failover takes it back, and the code is
// not sent twice.
func (a *SignIns) claimUntil(ctx context.Context, f *Flow, until time.Time, tier sessionstore.Tier) (*Redemption, error) {
	r := &Redemption{Phase: Redeeming, until: a.env.Clock().Add(RedeemTime), version: env.Version(), guest: tier == sessionstore.Guest}
	err := a.env.Write(ctx, f.redemption(), sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: fieldPhase, Value: r.pack(), Version: r.version}},
		Expires: until,
		Tier:    tier,
	})
	if err == nil {
		return r, nil
	}
	if !env.Decided(err) { // it may be there: no code was sent, and nobody has to wait for its end
		r.Phase, r.Failure.Code, r.claimed = Failed, reason.Interrupted, r.version
		c := a.conclusion(r)
		a.env.Retry(ctx, RedeemTime, "claim not given up", err, func(ctx context.Context) error {
			return a.env.Write(ctx, f.redemption(), c)
		})
		return r, err
	}
	return nil, err
}

// conclusion returns the change that records how r ended.
func (a *SignIns) conclusion(r *Redemption) sessionstore.Change {
	was := r.version
	r.version, r.at = env.Version(), a.env.Clock()
	return sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldPhase, Version: was}},
		Set: []sessionstore.Field{{Name: fieldPhase, Value: r.pack(), Version: r.version}},
	}
}

// conclude records how r ended. If the store fails, it is tried again in the background, for as long as somebody
// may ask. A redemption that failed becomes a guest's record, unless the store has no room for one: anybody can
// make up codes. It lasts as long as before, so that no code is sent twice.
func (a *SignIns) conclude(ctx context.Context, f *Flow, r *Redemption) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime) // the time of the sign-in may be over
	defer cancel()
	c := a.conclusion(r)
	if r.Phase == Failed && !r.guest {
		_ = a.payFor(ctx, f.expires.Add(redemptionRest)) // the record stays in any case: if the budget is spent, no other guest comes in
		c.Tier = sessionstore.Guest
	}
	conclude := func(ctx context.Context) error {
		err := a.env.Write(ctx, f.redemption(), c)
		if c.Tier == sessionstore.Guest && errors.Is(err, sessionstore.ErrFull) {
			same := c
			same.Tier = sessionstore.SameTier
			err = a.env.Write(ctx, f.redemption(), same)
		}
		return err
	}
	if err := conclude(ctx); err != nil && !env.Contested(err) {
		a.env.Retry(ctx, redemptionRest, "redemption not concluded", err, conclude)
	}
}

// claimFailed returns what a claim came to that was not written, or may not be. It is nil, without an error, if
// another callback was first. A claim that may be there is given up, and the sign-in is over.
func (a *SignIns) claimFailed(ctx context.Context, f *Flow, given *Redemption, err error) (*Redemption, error) {
	if errors.Is(err, sessionstore.ErrExists) {
		return nil, nil
	}
	if given == nil {
		return nil, reason.New(reason.Store, err)
	}
	there, failed := a.recall(ctx, f)
	if failed == nil && there != nil && there.version != given.version && there.version != given.claimed {
		return nil, nil
	}
	return given, reason.New(reason.Interrupted, err)
}
