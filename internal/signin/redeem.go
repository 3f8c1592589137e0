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

const checkTime = 15 * time.Second // for the provider's checks

// Redeem takes the answer to the flow f through every check, redeems its code, and settles who is signed
// in. Before the claim is written it changes nothing, and ctx ends it; afterwards nothing but RedeemTime
// does.
//
// The redemption that it returns has ended: with the outcome, or with the error that says why not. It is
// nil if the answer was refused before the claim. Without a redemption and without an error, another
// callback has claimed f, see [SignIns.Known].
func (a *SignIns) Redeem(ctx context.Context, q *session.Request, b Browser, f *Flow, answer url.Values) (*Redemption, *Outcome, error) {
	s := q.Now.Load()
	if err := a.stillGood(f); err != nil {
		return nil, nil, err
	}
	if err := belongs(f, s); err != nil {
		return nil, nil, err
	}
	if err := f.checkRoom(s); err != nil {
		return nil, nil, err
	}
	visit := a.visit(f, answer.Get("state"), s)
	if err := a.check(ctx, f, visit, answer); err != nil {
		red, err := a.checkFailed(q, f, err)
		return red, nil, err
	}
	if err := a.takeTurn(ctx, f); err != nil {
		return nil, nil, err
	}
	defer a.endTurn(f)

	// A code that was sent has to be followed through, although the browser may close the tab.
	whole, cancel := context.WithTimeout(a.connections.Outgoing(context.WithoutCancel(q.Outer)), RedeemTime)
	defer cancel()
	red, err := a.claim(whole, f)
	if err != nil {
		red, err = a.claimFailed(whole, f, red, err)
		return red, nil, err
	}
	red.Phase, red.Failure.Code = Failed, reason.Interrupted // until it is known better: OnLogin may panic
	defer func() { a.conclude(whole, f, red) }()
	out, err := a.finish(whole, q, b, f, visit, answer, red)
	if err != nil {
		red.Failure = a.Tell(q, f, err)
	}
	return red, out, err
}

// stillGood refuses a flow that took too long.
func (a *SignIns) stillGood(f *Flow) error {
	if !a.env.Clock().Before(f.expires) {
		return reason.New(reason.Expired, nil)
	}
	return nil
}

// belongs refuses a step-up or link that comes back to another session or user than it left. A
// sign-in may come back to any session of its browser: [Choose] says to which.
func belongs(f *Flow, s *session.View) error {
	if f.Purpose == SignIn {
		return nil
	}
	if !s.SignedIn() || s.ID != f.session || s.Meta.User != f.user {
		return reason.New(reason.SessionChanged, nil)
	}
	return nil
}

// check has the provider judge the answer. It returns the provider's error as it is.
func (a *SignIns) check(ctx context.Context, f *Flow, visit *providers.Flow, answer url.Values) error {
	within := env.Within(a.connections.Outgoing(ctx), checkTime)
	defer within.Release()
	return a.connections.Providers[f.Provider].Check(within, visit, answer)
}

// checkFailed returns why an answer did not pass the provider's checks. A provider that says no has ended
// the flow: then there is a redemption.
func (a *SignIns) checkFailed(q *session.Request, f *Flow, err error) (*Redemption, error) {
	var refused *providers.Error
	switch {
	case errors.As(err, &refused):
		return a.denied(q, f, refused)
	case errors.Is(err, providers.ErrUnavailable):
		return nil, reason.New(reason.Unavailable, err)
	}
	return nil, reason.New(reason.Answer, err)
}

// denied records that the provider has refused f, so that the flow is over.
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
	if errors.Is(err, sessionstore.ErrFull) {
		a.noteEnded(q, f, code)
		return nil, no // a reload is told the same
	}
	if err != nil {
		return a.claimFailed(ctx, f, red, err)
	}
	red.Phase, red.Failure = Failed, Told{Code: code, ProviderCode: refused.KnownCode()}
	a.conclude(ctx, f, red)
	a.noteEnded(q, f, code)
	return red, no
}

// takeTurn waits until a code may be redeemed at f's provider. After nil, the caller calls endTurn, and
// [background.Group.Wait] waits for that.
func (a *SignIns) takeTurn(ctx context.Context, f *Flow) error {
	turn := a.queues[f.Provider]
	if !turn.enter(ctx) {
		return reason.New(reason.Busy, ctx.Err())
	}
	if !a.env.Background.Enter() {
		turn.leave()
		return reason.New(reason.Closing, nil)
	}
	return nil
}

func (a *SignIns) endTurn(f *Flow) {
	a.env.Background.Tasks.Done()
	a.queues[f.Provider].leave()
}

// finish redeems the code, learns who came back, and settles who is signed in. When it fails the session
// is as it was, and what was issued is revoked.
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
	g, err := a.identify(f, provider, token, id)
	if err != nil {
		return nil, err
	}
	out, err := a.settle(ctx, q, b, f, g, id)
	if err != nil {
		return nil, settleError(err)
	}
	settled = true
	red.Phase, red.Landing, red.session, red.user = done, a.Landing(ctx, f), out.session, out.user
	red.shown, red.stamp = b.Shown(), a.env.Stamp(a.env.Clock(), 0)
	a.env.Log.Event(q.Outer, slog.LevelInfo, "signed in", "", slog.String("provider", f.Provider), slog.Bool("new", out.isNew))
	return out, nil
}

// identify returns the grant of the person who came back, if the identity is one that the provider may speak
// for and meets what f was started for.
func (a *SignIns) identify(f *Flow, provider providers.Provider, token *providers.Token, id *providers.Identity) (connection.Grant, error) {
	if id.Issuer == "" || id.Subject == "" {
		return connection.Grant{}, reason.New(reason.Token, errors.New("middleware: callback: identity without issuer or subject"))
	}
	if err := a.issuers.foreign(id.Issuer, f.Provider); err != nil {
		return connection.Grant{}, reason.New(reason.Token, err)
	}
	if err := connection.Bound(token, id); err != nil {
		return connection.Grant{}, reason.New(reason.IdentitySize, err)
	}
	now := a.env.Clock()
	g := connection.NewGrant(f.Provider, f.Label, f.Need.Scopes, token, id, a.accounts.KeyOf(id), now, connection.ClockSkew(provider))
	if err := g.Meets(f.Need, now); err != nil {
		return connection.Grant{}, finishError(err)
	}
	return g, nil
}

// finishError returns the error of a code that was not redeemed, or not for what was asked.
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

// settleError returns the error of a sign-in that could not be settled. The code is spent: where the store
// failed, to wait and load the page again would not help.
func settleError(err error) error {
	if reason.Of(err) != reason.Store {
		return err
	}
	if errors.Is(err, sessionstore.ErrFull) {
		return &reason.Error{Code: reason.Full, Cause: errors.Unwrap(err), Spent: true}
	}
	return reason.New(reason.Interrupted, errors.Unwrap(err))
}
