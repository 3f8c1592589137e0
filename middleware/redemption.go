package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// A redemption is the record that makes sure that a flow's code is redeemed at most once, by
// whichever process comes first, and that tells everybody else how it ended. It is written when a
// callback has passed every check, and not before.
type redemption struct {
	phase   phase
	until   time.Time // redeeming: when its process must be dead
	at      time.Time // done: when
	landing string    // done
	session string    // done: id
	user    string    // done
	reason  Reason    // failed
	code    string    // failed: what the provider said, if it was one of the standard codes
	version uint64
}

type phase uint8

const (
	redeeming phase = 1 + iota
	done
	failed
)

const (
	redeemTime     = 40 * time.Second // for the provider, OnLogin and the store together
	redemptionRest = 10 * time.Minute // past the end of the flow
	fieldPhase     = "phase"
)

// redemption returns the key of f's record, which a callback asks for several times.
func (f *flow) redemption() sessionstore.Key {
	if f.redeemed == "" {
		m := f.secrets.flow.Derive("redemption", string(f.seed[:]))
		f.redeemed = text(m[:])
	}
	return sessionstore.Key{Kind: kindRedemption, ID: f.redeemed}
}

func (r *redemption) pack() string {
	var b packed.Builder
	b.Grow(64 + len(r.landing) + len(r.session) + len(r.user) + len(r.reason) + len(r.code))
	b.Byte(byte(r.phase))
	b.Time(r.until)
	b.Time(r.at)
	b.Text(r.landing)
	b.Text(r.session)
	b.Text(r.user)
	b.Text(string(r.reason))
	b.Text(r.code)
	return b.String()
}

// recall returns the redemption of f; nil if there is none.
func (a *Auth) recall(ctx context.Context, f *flow) (*redemption, error) {
	rec, err := a.store.Load(ctx, f.redemption())
	if errors.Is(err, sessionstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("middleware: redemption: %w", err)
	}
	field, ok := rec.Field(fieldPhase)
	p := packed.Read(field.Value)
	r := &redemption{
		phase: phase(p.Uint()), until: p.Time(), at: p.Time(), landing: p.String(), session: p.String(),
		user: p.String(), reason: Reason(p.String()), code: p.String(), version: field.Version,
	}
	_, known := answers[r.reason]
	if !ok || p.Err() != nil || r.phase < redeeming || r.phase > failed || r.phase == failed && !known {
		// Somebody redeemed, and what came of it cannot be read, or not by this version: never redeem again.
		return &redemption{phase: failed, reason: ReasonInterrupted}, nil
	}
	return r, nil
}

// claimTries is how often a claim is sent that the store may not have had.
const claimTries = 2

// claim makes this process the one that redeems f. It returns [sessionstore.ErrExists] if another was
// first.
func (a *Auth) claim(ctx context.Context, f *flow) (*redemption, error) {
	return a.claimUntil(ctx, f, f.expires.Add(redemptionRest), sessionstore.Member)
}

// claimDenied is claim for an answer that says no. Anybody can start a sign-in and write that answer
// themselves, as often as they like, and no provider hears of it: what is kept is a guest's, and counts
// as one does. Where there is no room it is [sessionstore.ErrFull].
func (a *Auth) claimDenied(ctx context.Context, f *flow) (*redemption, error) {
	now, until := a.now(), f.expires.Add(redemptionRest)
	if err := a.tally.pay(ctx, a.store, birth, now); err != nil {
		return nil, err
	}
	if idle := now.Add(a.anonymousIdle); idle.Before(until) {
		until = idle
	}
	return a.claimUntil(ctx, f, until, sessionstore.Guest)
}

// claimUntil makes the claim. A store that failed may have made the change all the same: then the record
// has the version of this claim, which is nobody else's, and the claim is made once more on that
// condition. To find it by reading would not do: what was not confirmed a failover may lose, and the code
// would be sent twice.
func (a *Auth) claimUntil(ctx context.Context, f *flow, until time.Time, tier sessionstore.Tier) (*redemption, error) {
	r := &redemption{phase: redeeming, until: a.now().Add(redeemTime), version: version()}
	c := sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: fieldPhase, Value: r.pack(), Version: r.version}},
		Expires: until,
		Tier:    tier,
	}
	ours := c
	ours.Mode, ours.If = sessionstore.MustExist, []sessionstore.Match{{Name: fieldPhase, Version: r.version}}
	var lost error
	for range claimTries {
		err := a.store.Update(ctx, f.redemption(), c)
		if err == nil {
			return r, nil
		}
		if lost == nil && decided(err) {
			return nil, err
		}
		lost = err // what there is may from now on be this claim, which came late
		err = a.store.Update(ctx, f.redemption(), ours)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, sessionstore.ErrConflict):
			return nil, sessionstore.ErrExists
		case !errors.Is(err, sessionstore.ErrNotFound):
			return nil, err
		}
	}
	return nil, lost
}

// decided reports that a store which answers err has not made the change.
func decided(err error) bool {
	return contested(err) || errors.Is(err, sessionstore.ErrFull) || errors.Is(err, sessionstore.ErrOverloaded)
}

// conclude says how r ended.
func (a *Auth) conclude(ctx context.Context, f *flow, r *redemption) error {
	was := r.version
	r.version, r.at = version(), a.now()
	return a.store.Update(ctx, f.redemption(), sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldPhase, Version: was}},
		Set: []sessionstore.Field{{Name: fieldPhase, Value: r.pack(), Version: r.version}},
	})
}

// blank is how long somebody looks at an empty tab. Then they get a page that asks again by itself.
const blank = 3 * time.Second

// await returns the redemption of f once it has ended, or when its process must be dead; after so long
// as it is.
func (a *Auth) await(ctx context.Context, f *flow, r *redemption, long time.Duration) (*redemption, error) {
	wait, enough := 5*time.Millisecond, a.now().Add(long)
	for r.phase == redeeming && a.now().Before(r.until) {
		if !a.now().Before(enough) {
			return r, nil
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, 100*time.Millisecond)
		var err error
		if r, err = a.recall(ctx, f); err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
	}
	if r == nil || r.phase == redeeming {
		return &redemption{phase: failed, reason: ReasonInterrupted}, nil
	}
	return r, nil
}
