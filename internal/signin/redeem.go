package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Redeem takes an answer through every check, then redeems it. The redemption that it returns has
// ended. There is none if the answer was refused before that, or, without an error, if f was redeemed
// already: see [Auth.known]. Until it is recorded, ctx ends it.
func (a *SignIns) Redeem(ctx context.Context, q *session.Request, b Browser, f *Flow, answer url.Values) (*Redemption, *Outcome, error) {
	if !a.env.Clock().Before(f.expires) {
		return nil, nil, reason.New(reason.Expired, nil)
	}
	s := q.Now.Load()
	if err := belongs(f, s); err != nil {
		return nil, nil, err
	}
	if err := f.room(s); err != nil {
		return nil, nil, err
	}
	visit := a.visit(f, answer.Get("state"), s)
	provider := a.connections.Providers[f.Provider]
	check := env.Within(a.connections.Outgoing(ctx), checkTime)
	defer check.Release()
	err := provider.Check(check, visit, answer)
	if err != nil {
		red, err := a.unchecked(q, f, err)
		return red, nil, err
	}
	turn := a.queues[f.Provider]
	if !turn.enter(ctx) {
		return nil, nil, reason.New(reason.Busy, ctx.Err())
	}
	defer turn.leave()
	if !a.env.Background.Enter() {
		return nil, nil, reason.New(reason.Closing, nil)
	}
	defer a.env.Background.Tasks.Done()

	// From here on the person's browser does not matter: a code that was sent has to be followed
	// through, whoever closes a tab meanwhile.
	whole, cancelWhole := context.WithTimeout(a.connections.Outgoing(context.WithoutCancel(q.Outer)), RedeemTime)
	defer cancelWhole()
	red, err := a.claim(whole, f)
	if errors.Is(err, sessionstore.ErrExists) {
		return nil, nil, nil
	}
	if err != nil {
		red, err = a.unclaimed(whole, f, red, err)
		return red, nil, err
	}
	red.Phase, red.Failure.Code = Failed, reason.Interrupted // what a panic in OnLogin leaves behind
	defer func() { a.conclude(whole, f, red) }()
	out, err := a.finish(whole, q, b, f, visit, answer, red)
	if err != nil {
		red.Failure = a.Tell(q, f, err)
	}
	return red, out, err
}

// unclaimed answers for a claim that the store did not take, or of which nobody knows. Such a one is given
// up: the sign-in is over, unless it is another request's that was first.
func (a *SignIns) unclaimed(ctx context.Context, f *Flow, given *Redemption, err error) (*Redemption, error) {
	if given == nil {
		return nil, reason.New(reason.Store, err)
	}
	there, failed := a.recall(ctx, f)
	if failed == nil && there != nil && there.version != given.version && there.version != given.claimed {
		return nil, nil
	}
	return given, reason.New(reason.Interrupted, err)
}

// unchecked judges why an answer did not pass the provider's checks.
func (a *SignIns) unchecked(q *session.Request, f *Flow, err error) (*Redemption, error) {
	var refused *providers.Error
	switch {
	case errors.As(err, &refused):
		return a.denied(q, f, refused)
	case errors.Is(err, providers.ErrUnavailable):
		return nil, reason.New(reason.Unavailable, err)
	}
	return nil, reason.New(reason.Answer, err)
}

// Known returns what became of f, which this request does not redeem: refused says why, or is nil if
// another has. It need not have ended: see [Auth.land]. Most callbacks are the first of their flow, and
// so nobody asks before: a reload is judged once more, and lands where it did whatever that says now.
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

// belongs refuses a step-up or link that comes back to another session or user than it left. A
// sign-in may come back to any session of its browser: see [Auth.settle].
func belongs(f *Flow, s *session.View) error {
	if f.Purpose == SignIn {
		return nil
	}
	if !s.SignedIn() || s.ID != f.session || s.Meta.User != f.user {
		return reason.New(reason.SessionChanged, nil)
	}
	return nil
}

// denied notes a refusal by the provider, so that the flow is over.
func (a *SignIns) denied(q *session.Request, f *Flow, refused *providers.Error) (*Redemption, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	code := reason.ProviderError
	if refused.Code == "access_denied" {
		code = reason.Denied
	}
	no := reason.New(code, refused)
	if !a.env.Background.Enter() {
		return nil, reason.New(reason.Closing, nil)
	}
	defer a.env.Background.Tasks.Done()
	red, err := a.claimDenied(ctx, f)
	if errors.Is(err, sessionstore.ErrExists) {
		return nil, nil
	}
	if errors.Is(err, sessionstore.ErrFull) {
		a.noteEnded(q, f, code)
		return nil, no // a reload is told the same
	}
	if err != nil {
		return a.unclaimed(ctx, f, red, err)
	}
	red.Phase, red.Failure = Failed, Told{Code: code, ProviderCode: refused.KnownCode()}
	a.conclude(ctx, f, red)
	a.noteEnded(q, f, code)
	return red, no
}

// finish redeems the code, learns who came back, and signs them in. When it fails the session is as
// it was, and what was issued is revoked.
func (a *SignIns) finish(
	ctx context.Context, q *session.Request, b Browser, f *Flow, visit *providers.Flow, answer url.Values, red *Redemption,
) (*Outcome, error) {
	provider := a.connections.Providers[f.Provider]
	token, id, err := provider.Finish(ctx, visit, answer)
	settled := false
	defer func() {
		if !settled { // a panic in OnLogin included
			a.connections.Revoke(ctx, provider, token)
		}
	}()
	if err != nil {
		return nil, finishError(err)
	}
	if id.Issuer == "" || id.Subject == "" {
		return nil, reason.New(reason.Token, errors.New("middleware: callback: identity without issuer or subject"))
	}
	if err := a.namespaces.foreign(id.Issuer, f.Provider); err != nil {
		return nil, reason.New(reason.Token, err)
	}
	if err := connection.Bound(token, id); err != nil {
		return nil, reason.New(reason.IdentitySize, err)
	}
	now := a.env.Clock()
	g := connection.NewGrant(f.Provider, f.Label, f.Need.Scopes, token, id, a.accounts.KeyOf(id), now, connection.ClockSkew(provider))
	if err := g.Meets(f.Need, now); err != nil {
		return nil, finishError(err)
	}
	out, err := a.settle(ctx, q, b, f, g, id)
	switch full := errors.Is(err, sessionstore.ErrFull); {
	case reason.Of(err) == reason.Store && full: // the code is spent: to wait and reload would not help
		return nil, &reason.Error{Code: reason.Full, Cause: errors.Unwrap(err), Spent: true}
	case reason.Of(err) == reason.Store:
		return nil, reason.New(reason.Interrupted, errors.Unwrap(err))
	case err != nil:
		return nil, err
	}
	settled = true
	red.Phase, red.Landing, red.session, red.user = done, a.Landing(ctx, f), out.session, out.user
	red.shown, red.stamp = b.Shown(), a.env.Stamp(a.env.Clock(), 0)
	a.env.Log.Event(q.Outer, slog.LevelInfo, "signed in", "", slog.String("provider", f.Provider), slog.Bool("new", out.isNew))
	return out, nil
}

// finishError returns the error of a redemption that failed.
func finishError(err error) error {
	var refused *providers.Error
	switch {
	case errors.Is(err, providers.ErrUnavailable):
		return reason.New(reason.Unavailable, err)
	case errors.As(err, &refused):
		return reason.New(reason.ProviderError, err)
	case errors.Is(err, providers.ErrSubject):
		return reason.New(reason.Identity, err)
	case errors.Is(err, providers.ErrNoAuthTime):
		return reason.New(reason.AuthTime, err)
	case errors.Is(err, providers.ErrUnmet):
		return reason.New(reason.Need, err)
	}
	return reason.New(reason.Token, err)
}

const checkTime = 15 * time.Second

// A Browser is what a sign-in needs to know of the one that came back.
type Browser interface {
	// shown returns a hash of the session cookie that it shows.
	Shown() string

	// device returns where the app says that it is.
	Device() string
}

// Told is what somebody was told about a sign-in that failed, for whoever loads the page again.
type Told struct {
	Code          string // the reason
	Own           string // the app's own reason, which Code stands for
	ProviderCode  string // what the provider said, if it was one of the standard codes
	Status        int    // 0: what the reason stands for, and so are Title and Detail
	Title, Detail string
	LoginURL      string // where it leads
	LoginPost     bool   // by a form
}
