package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/guest"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Redemption is the record that makes sure that a flow's code is redeemed at most once, by
// whichever process comes first, and that tells everybody else how it ended. It is written when a
// callback has passed every check, and not before.
type Redemption struct {
	Phase   phase
	until   time.Time // redeeming: when its process must be dead
	at      time.Time // done: when
	Landing string    // done
	session string    // done: id
	user    string    // done
	shown   string    // done: see [cookies.shown]
	stamp   int64     // done: see [Auth.stamp]
	Failure Told      // failed
	Seen    bool      // failed: the page about it was shown to somebody who is signed in
	version uint64
	guest   bool   // it counts as a guest's
	claimed uint64 // the version before that, of a claim that was given up
}

type phase uint8

const (
	Redeeming phase = 1 + iota
	done
	Failed
)

const (
	RedeemTime     = 40 * time.Second // for the provider, OnLogin and the store together
	RedemptionRest = 10 * time.Minute // past the end of the flow
	fieldPhase     = "phase"
)

// redemption returns the key of f's record, which a callback asks for several times.
func (f *Flow) redemption() sessionstore.Key {
	if f.redeemed == "" {
		m := f.secrets.Flow.Derive("redemption", string(f.seed[:]))
		f.redeemed = keys.Text(m[:])
	}
	return sessionstore.Key{Kind: kindRedemption, ID: f.redeemed}
}

func (r *Redemption) pack() string {
	var b packed.Builder
	b.Grow(64 + len(r.Landing) + len(r.session) + len(r.user) + len(r.Failure.Code) + len(r.Failure.ProviderCode) + len(r.shown) + len(r.Failure.Title) + len(r.Failure.Detail) + len(r.Failure.Own) + len(r.Failure.LoginURL))
	b.Byte(byte(r.Phase))
	b.Time(r.until)
	b.Time(r.at)
	b.Text(r.Landing)
	b.Text(r.session)
	b.Text(r.user)
	b.Text(r.Failure.Code)
	b.Text(r.Failure.ProviderCode)
	b.Text(r.shown)
	b.Uint(uint64(r.stamp))
	b.Uint(uint64(r.Failure.Status))
	b.Text(r.Failure.Title)
	b.Text(r.Failure.Detail)
	b.Text(r.Failure.Own)
	b.Text(r.Failure.LoginURL)
	b.Bool(r.Failure.LoginPost)
	b.Bool(r.Seen)
	return b.String()
}

// recall returns the redemption of f; nil if there is none.
func (a *SignIns) recall(ctx context.Context, f *Flow) (*Redemption, error) {
	rec, err := a.env.Read(ctx, f.redemption())
	if errors.Is(err, sessionstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("middleware: redemption: %w", err)
	}
	field, ok := rec.Field(fieldPhase)
	p := packed.Read(field.Value)
	r := &Redemption{
		Phase: phase(p.Uint()), until: p.Time(), at: p.Time(), Landing: p.String(), session: p.String(),
		user: p.String(), Failure: Told{Code: p.String(), ProviderCode: p.String()}, version: field.Version,
	}
	if p.More() {
		r.shown, r.stamp = p.String(), int64(p.Uint())
	}
	if p.More() {
		r.Failure.Status, r.Failure.Title, r.Failure.Detail = int(p.Uint()), p.String(), p.String()
	}
	if p.More() {
		r.Failure.Own, r.Failure.LoginURL, r.Failure.LoginPost = p.String(), p.String(), p.Bool()
	}
	if p.More() {
		r.Seen = p.Bool()
	}
	known := a.Knows(r.Failure.Code)
	if !ok || p.Err() != nil || r.Phase < Redeeming || r.Phase > Failed || r.Phase == Failed && !known {
		// Somebody redeemed, and what came of it cannot be read, or not by this version: never redeem again.
		return interrupted(), nil
	}
	return r, nil
}

// claim makes this process the one that redeems f. It returns [sessionstore.ErrExists] if another was
// first. With an error that leaves open what became of the claim it returns the redemption that is given
// up, and nobody else's.
func (a *SignIns) claim(ctx context.Context, f *Flow) (*Redemption, error) {
	return a.claimUntil(ctx, f, f.expires.Add(RedemptionRest), sessionstore.Member)
}

// claimDenied is claim for an answer that says no. Anybody can start a sign-in and write that answer
// themselves, signed in or not, as often as they like, and no provider hears of it: what is kept is a
// guest's, and counts as one does. Where there is no room it is [sessionstore.ErrFull].
func (a *SignIns) claimDenied(ctx context.Context, f *Flow) (*Redemption, error) {
	until := f.expires.Add(RedemptionRest)
	if err := a.payFor(ctx, until); err != nil {
		return nil, err
	}
	return a.claimUntil(ctx, f, until, sessionstore.Guest)
}

// maxUnits is what a guest's record is paid for with at most.
const maxUnits = 16

// payFor pays for a guest's record that lasts until then: like a guest's session for each time that one
// lasts unused.
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

// claimUntil makes the claim. One whose answer is lost is [Auth.write]'s to find: it is confirmed by being
// written once more, so that with a store that waits for replicas no failover takes it back, and the code
// is not sent twice.
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
	if !env.Decided(err) { // it may be there: nothing was sent, and nobody need wait for what does not come
		r.Phase, r.Failure.Code, r.claimed = Failed, reason.Interrupted, r.version
		c := a.conclusion(r)
		a.env.Retry(ctx, RedeemTime, "claim not given up", err, func(ctx context.Context) error {
			return a.env.Write(ctx, f.redemption(), c)
		})
		return r, err
	}
	return nil, err
}

// conclusion returns the change that says how r ended.
func (a *SignIns) conclusion(r *Redemption) sessionstore.Change {
	was := r.version
	r.version, r.at = env.Version(), a.env.Clock()
	return sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldPhase, Version: was}},
		Set: []sessionstore.Field{{Name: fieldPhase, Value: r.pack(), Version: r.version}},
	}
}

// conclude says how r ended. If the store does not take it now it is told later, for as long as somebody
// may ask. A redemption that failed becomes a guest's record, unless the store has no room for one: anybody can make up
// codes. It lasts as long as it did, so that no code is sent twice.
func (a *SignIns) conclude(ctx context.Context, f *Flow, r *Redemption) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime) // that of the sign-in may be over
	defer cancel()
	c := a.conclusion(r)
	if r.Phase == Failed && !r.guest {
		_ = a.payFor(ctx, f.expires.Add(RedemptionRest)) // it is there: where no guest has a place, none comes after it
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
		a.env.Retry(ctx, RedemptionRest, "redemption not concluded", err, conclude)
	}
}

// NoteSeen notes that the page about r is shown. If it cannot be noted, the page is shown once more.
func (a *SignIns) NoteSeen(ctx context.Context, f *Flow, r *Redemption) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	n := *r
	n.Seen, n.version = true, env.Version()
	_ = a.env.Store.Update(ctx, f.redemption(), sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldPhase, Version: r.version}},
		Set: []sessionstore.Field{{Name: fieldPhase, Value: n.pack(), Version: n.version}},
	})
}

// Blank is how long somebody looks at an empty tab. Then they get a page that asks again by itself.
const Blank = 3 * time.Second

// Await returns the redemption of f once it has ended, or when its process must be dead; after so long
// as it is.
func (a *SignIns) Await(ctx context.Context, f *Flow, r *Redemption, long time.Duration) (*Redemption, error) {
	wait, enough := 5*time.Millisecond, a.env.Clock().Add(long)
	for r.Phase == Redeeming && a.env.Clock().Before(r.until) {
		if !a.env.Clock().Before(enough) {
			return r, nil
		}
		if err := env.Pause(ctx, wait); err != nil {
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
	if r == nil || r.Phase == Redeeming {
		return interrupted(), nil
	}
	return r, nil
}

const kindRedemption = "redemption"

// interrupted returns what came of a sign-in of which nothing more is known.
func interrupted() *Redemption {
	return &Redemption{Phase: Failed, Failure: Told{Code: reason.Interrupted}}
}
