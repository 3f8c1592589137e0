package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Redemption is the record by which a flow's code is redeemed at most once: by the process that writes it
// first. It tells every other callback of the flow how that ended. It is written when a callback has passed
// every check, and not before.
type Redemption struct {
	Phase   Phase
	until   time.Time // Redeeming: when its process is over in any case
	at      time.Time // done: when
	Landing string    // done: the path to which the person is sent
	session string    // done: id
	user    string    // done
	shown   string    // done: what the browser showed, see [Browser]
	stamp   int64     // done: its time, see [env.Env.Stamp]
	Failure Told      // Failed
	Seen    bool      // Failed: the page about it was shown to somebody who is signed in
	version uint64
	guest   bool   // the record is a guest's
	claimed uint64 // of a claim that was given up: the version with which it was written
}

// A Phase is how far a redemption is.
type Phase uint8

// Phases of a redemption.
const (
	Redeeming Phase = 1 + iota // a process is at it
	done
	Failed
)

// RedeemTime is how long a redemption may take: the provider, OnLogin and the store together.
const RedeemTime = 40 * time.Second

// redemptionRest is how long the record outlives its flow.
const redemptionRest = 10 * time.Minute

// Blank is how long a browser waits for the end of a sign-in before it gets a page that asks again by itself.
const Blank = 3 * time.Second

const (
	kindRedemption = "redemption"
	fieldPhase     = "phase"
)

// redemption returns the key of f's record. It is derived once: a callback asks for it several times.
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
		Phase: Phase(p.Uint()), until: p.Time(), at: p.Time(), Landing: p.String(), session: p.String(),
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
		// The flow was redeemed, and this version cannot read how that ended: it is not redeemed again.
		return interrupted(), nil
	}
	return r, nil
}

// NoteSeen notes that the page about r is shown. If the store fails, the page is shown once more at a reload.
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

// Await returns the redemption of f once it has ended, or is over because its process must be dead. After that
// long it returns it as it is.
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

// interrupted returns the redemption of a sign-in of which nothing more is known.
func interrupted() *Redemption {
	return &Redemption{Phase: Failed, Failure: Told{Code: reason.Interrupted}}
}

// Told is what the person was told about a sign-in that failed. A reload is told the same.
type Told struct {
	Code          string // the reason
	Own           string // the app's own reason, which Code stands for
	ProviderCode  string // the provider's, if it is one of the standard codes
	Status        int    // 0: that of the reason, and so are Title and Detail
	Title, Detail string
	LoginURL      string // of the page's button
	LoginPost     bool   // the button posts a form
}

// Known returns the redemption of a flow that this request does not redeem. refused says why it does not, and is
// the error if there is no redemption; nil stands for a flow that another request has claimed. The redemption may
// not have ended, see [SignIns.Await].
//
// It is called after the checks, because most callbacks are the first of their flow. A reload is checked again, and
// ends as the first callback did, also if the checks now refuse it.
func (a *SignIns) Known(ctx context.Context, f *Flow, refused error) (*Redemption, error) {
	red, err := a.recall(ctx, f)
	switch {
	case err != nil:
		return nil, reason.New(reason.Store, err)
	case red == nil && refused == nil:
		return interrupted(), nil
	case red == nil:
		return nil, refused
	}
	return red, nil
}
