package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	maxAnswer = 16 << 10 // bytes of query
	checkTime = 15 * time.Second
)

// callback answers the redirect URI. A page of ours does not stay at an address with a code in it.
func (a *Auth) callback(w http.ResponseWriter, q *request, name string) *Problem {
	p := a.comeBack(w, q, name)
	if p != nil {
		if p.told = p.Reason == q.told; p.told {
			p.found = q.found
		}
		a.moveOn(w.Header(), q, name, p)
	}
	return p
}

// comeBack answers a callback, or returns why not. Until the redemption is recorded it changes nothing, anywhere:
// what is refused can be sent again by whoever it belongs to.
func (a *Auth) comeBack(w http.ResponseWriter, q *request, name string) *Problem {
	r := q.r
	poster, posts := a.connections.Providers[name].(providers.FormPoster)
	posts = posts && poster.FormPost()
	if r.Method == http.MethodPost && posts {
		return a.posted(w, q, name)
	}
	if p := methods(w, r, http.MethodGet); p != nil {
		return p
	}
	if web.Prefetch(r) {
		return problem(reason.Navigation, nil)
	}
	j := a.bindings(r)
	if a.app.CallbackKeptBack(r, q.Now.Load().ID != "", len(j.cookies) > 0) && q.again(w, "") {
		return nil
	}
	answer, p := a.answer(q, name)
	if p != nil {
		return a.astray(w, q, p, name, "")
	}
	f, ok := a.openFlow(answer.Get("state"), j)
	if !ok {
		landing := ""
		if f != nil && f.provider == name { // it started when what it started with was worth nothing any more
			landing = a.landing(q, f)
		}
		return a.astray(w, q, problem(reason.State, nil), name, landing)
	}
	if f.provider != name {
		return problem(reason.ProviderPath, nil)
	}
	red, p := a.redeemInTime(q, f, answer)
	if red == nil && p != nil && p.Reason == reason.Pending {
		return p
	}
	if red == nil {
		red, p = a.known(q, f, p)
	}
	switch {
	case p == nil:
		return a.land(w, q, f, red)
	case p.Reason == reason.Expired:
		return a.astray(w, q, p, name, a.landing(q, f))
	}
	p.Provider = name
	return a.turned(q, p, f)
}

// answer returns the provider's answer: from the query, or from the form that was posted a moment ago.
func (a *Auth) answer(q *request, name string) (url.Values, *Problem) {
	r := q.r
	if len(r.URL.RawQuery) > maxAnswer {
		return nil, problem(reason.Parameter, errors.New("middleware: callback: query too long"))
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(reason.Parameter, errors.New("middleware: callback: malformed query"))
	}
	if sealed, ok := v[answerParam]; ok {
		if len(sealed) != 1 || len(v) != 1 {
			return nil, problem(reason.Parameter, nil)
		}
		return a.openAnswer(q, sealed[0], name)
	}
	if len(v["state"]) > 1 {
		// "Request and response parameters MUST NOT be included more than once." RFC 6749, section 3.1.
		return nil, problem(reason.Parameter, errors.New("middleware: callback: state twice"))
	}
	return v, nil
}

// astray answers a callback that cannot be tied to a sign-in of this browser that is under way. For
// somebody who is signed in it is an old page of the history: they go on. Nothing of it is used.
func (a *Auth) astray(w http.ResponseWriter, q *request, p *Problem, name, landing string) *Problem {
	p.Provider = name
	if q.Now.Load().SignedIn() {
		if landing == "" {
			landing = a.app.Home
		}
		a.env.Log.Visitor(q, slog.LevelInfo, "callback ignored", string(p.Reason), slog.String("provider", name))
		web.Redirect(w, landing)
		return nil
	}
	if landing == "" {
		landing = a.app.Home
	}
	return a.retryable(p, name, landing)
}

// turned adds to p the ways on for a person whose sign-in f failed.
func (a *Auth) turned(q *request, p *Problem, f *flow) *Problem {
	landing := a.landing(q, f)
	if p.LoginURL == "" && p.Status != http.StatusConflict {
		p = a.anew(p, &departure{provider: f.provider, label: f.label, purpose: f.purpose, need: f.need, page: f.page, returnTo: landing})
	}
	p.BackURL = landing
	return p
}

// redeem takes an answer through every check, then redeems it. The redemption that it returns has
// ended. There is none if the answer was refused before that, or, without a problem, if f was redeemed
// already: see [Auth.known]. Until it is recorded, ctx ends it.
func (a *Auth) redeem(ctx context.Context, q *request, f *flow, answer url.Values) (*redemption, *Problem) {
	if !a.env.Clock().Before(f.expires) {
		return nil, problem(reason.Expired, nil)
	}
	s := q.Now.Load()
	if p := belongs(f, s); p != nil {
		return nil, p
	}
	if p := f.room(s); p != nil {
		return nil, p
	}
	visit := a.visit(f, answer.Get("state"), s)
	provider := a.connections.Providers[f.provider]
	check := env.Within(a.connections.Outgoing(ctx), checkTime)
	defer check.Release()
	err := provider.Check(check, visit, answer)
	if err != nil {
		return a.unchecked(q, f, err)
	}
	turn := a.queues[f.provider]
	if !turn.enter(ctx) {
		return nil, problem(reason.Busy, ctx.Err())
	}
	defer turn.leave()
	if !a.env.Background.Enter() {
		return nil, problem(reason.Closing, nil)
	}
	defer a.env.Background.Callbacks.Done()

	// From here on the person's browser does not matter: a code that was sent has to be followed
	// through, whoever closes a tab meanwhile.
	whole, cancelWhole := context.WithTimeout(a.connections.Outgoing(context.WithoutCancel(q)), redeemTime)
	defer cancelWhole()
	red, err := a.claim(whole, f)
	if errors.Is(err, sessionstore.ErrExists) {
		return nil, nil
	}
	if err != nil {
		return a.unclaimed(whole, f, red, err)
	}
	red.phase, red.reason = failed, reason.Interrupted // what a panic in OnLogin leaves behind
	defer func() { a.conclude(whole, f, red) }()
	p := a.finish(whole, q, f, visit, answer, red)
	if p != nil {
		p.RetryAfter = 0 // the code is spent: to wait and load the page again would not help
		red.keep(p)
	}
	return red, p
}

// unclaimed answers for a claim that the store did not take, or of which nobody knows. Such a one is given
// up: the sign-in is over, unless it is another request's that was first.
func (a *Auth) unclaimed(ctx context.Context, f *flow, given *redemption, err error) (*redemption, *Problem) {
	if given == nil {
		return nil, problem(reason.Store, err)
	}
	there, failed := a.recall(ctx, f)
	if failed == nil && there != nil && there.version != given.version && there.version != given.claimed {
		return nil, nil
	}
	return given, problem(reason.Interrupted, err)
}

// unchecked judges why an answer did not pass the provider's checks.
func (a *Auth) unchecked(q *request, f *flow, err error) (*redemption, *Problem) {
	var refused *providers.Error
	switch {
	case errors.As(err, &refused):
		return a.denied(q, f, refused)
	case errors.Is(err, providers.ErrUnavailable):
		return nil, problem(reason.Unavailable, err)
	}
	return nil, problem(reason.Answer, err)
}

// known returns what became of f, which this request does not redeem: refused says why, or is nil if
// another has. It need not have ended: see [Auth.land]. Most callbacks are the first of their flow, and
// so nobody asks before: a reload is judged once more, and lands where it did whatever that says now.
func (a *Auth) known(q *request, f *flow, refused *Problem) (*redemption, *Problem) {
	red, err := a.recall(q, f)
	switch {
	case err != nil:
		return nil, problem(reason.Store, err)
	case red == nil && refused == nil:
		return &redemption{phase: failed, reason: reason.Interrupted}, nil
	case red == nil:
		return nil, refused
	}
	return red, nil
}

// belongs refuses a step-up or link that comes back to another session or user than it left. A
// sign-in may come back to any session of its browser: see [Auth.settle].
func belongs(f *flow, s *session.View) *Problem {
	if f.purpose == signIn {
		return nil
	}
	if !s.SignedIn() || s.ID != f.session || s.Meta.User != f.user {
		return problem(reason.SessionChanged, nil)
	}
	return nil
}

// denied notes a refusal by the provider, so that the flow is over.
func (a *Auth) denied(q *request, f *flow, refused *providers.Error) (*redemption, *Problem) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q), env.StoreTime)
	defer cancel()
	code := reason.ProviderError
	if refused.Code == "access_denied" {
		code = reason.Denied
	}
	p := problem(code, refused)
	if !a.env.Background.Enter() {
		return nil, problem(reason.Closing, nil)
	}
	defer a.env.Background.Callbacks.Done()
	red, err := a.claimDenied(ctx, f)
	if errors.Is(err, sessionstore.ErrExists) {
		return nil, nil
	}
	if errors.Is(err, sessionstore.ErrFull) {
		a.noteEnded(q, f, code)
		return nil, p // a reload is told the same
	}
	if err != nil {
		return a.unclaimed(ctx, f, red, err)
	}
	red.phase, red.reason, red.code = failed, code, p.ProviderCode
	a.conclude(ctx, f, red)
	a.noteEnded(q, f, code)
	return red, p
}

// finish redeems the code, learns who came back, and signs them in. When it fails the session is as
// it was, and what was issued is revoked.
func (a *Auth) finish(ctx context.Context, q *request, f *flow, visit *providers.Flow, answer url.Values, red *redemption) *Problem {
	provider := a.connections.Providers[f.provider]
	token, id, err := provider.Finish(ctx, visit, answer)
	settled := false
	defer func() {
		if !settled { // a panic in OnLogin included
			a.connections.Revoke(ctx, provider, token)
		}
	}()
	if err != nil {
		return finishProblem(err)
	}
	if id.Issuer == "" || id.Subject == "" {
		return problem(reason.Token, errors.New("middleware: callback: identity without issuer or subject"))
	}
	if err := a.namespaces.foreign(id.Issuer, f.provider); err != nil {
		return problem(reason.Token, err)
	}
	if err := connection.Bound(token, id); err != nil {
		return problem(reason.IdentitySize, err)
	}
	now := a.env.Clock()
	g := connection.NewGrant(f.provider, f.label, f.need.Scopes, token, id, a.accounts.KeyOf(id), now, connection.ClockSkew(provider))
	if err := g.Meets(f.need, now); err != nil {
		return finishProblem(err)
	}
	out, p := a.settle(ctx, q, f, g, id)
	switch { // the code is spent: to wait and reload would not help
	case p != nil && p.Reason == reason.Store:
		return problem(reason.Interrupted, p.cause)
	case p != nil && p.Reason == reason.Full && p.Detail == answers[reason.Full].detail: // which says to wait
		return noRoom(p.cause)
	}
	if p != nil {
		return p
	}
	settled = true
	red.phase, red.landing, red.session, red.user = done, a.landing(ctx, f), out.session, out.user
	red.shown, red.stamp = q.shown(), a.env.Stamp(a.env.Clock(), 0)
	q.settled = out
	a.env.Log.Event(q, slog.LevelInfo, "signed in", "", slog.String("provider", f.provider), slog.Bool("new", out.isNew))
	return nil
}

// land sends the person where a redemption says, once it has ended. A person who loads the page while
// another request is at it, or was killed in the middle, does not look at an empty tab until that is
// known: what they get asks again.
func (a *Auth) land(w http.ResponseWriter, q *request, f *flow, red *redemption) *Problem {
	switch {
	case red.phase == redeeming:
		long := redeemTime
		if web.PageLoad(q.r) {
			long = blank
		}
		ended, err := a.await(q, f, red, long)
		if err != nil {
			return problem(reason.Store, err)
		}
		if ended.phase == redeeming {
			return underWay(f)
		}
		return a.land(w, q, f, ended)
	case red.phase == failed && q.Now.Load().Whose() != q.whose:
		web.Redirect(w, a.landing(q, f)) // signed in by other means since: an old page of the history
		return nil
	case red.phase == failed && red.seen && q.repeats():
		web.Redirect(w, a.landing(q, f))
		return nil
	case red.phase == failed:
		if q.repeats() {
			a.noteSeen(q, f, red)
		}
		p := red.told()
		p.Provider = f.provider
		return a.turned(q, p, f)
	}
	out := q.settled
	if out == nil {
		var err error
		if out, err = a.reissue(q, q, red); err != nil {
			return problem(reason.Store, err)
		}
	}
	a.rebind(w.Header(), q, out, red)
	web.Redirect(w, red.landing)
	return nil
}
