package middleware

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/sessionstore"
)

// Refuse returns an error by which [Config].OnLogin says that somebody may not sign in. The answer is 403
// with [reason.OnLogin], and its page shows detail as text: what the person can do. An empty one is a sentence
// of ours. It may be wrapped, with what the log is to have besides. A [*Problem] of the app's own is a refusal,
// too, with its own status and title.
func Refuse(detail string) error {
	p := problem(reason.OnLogin, nil)
	if detail != "" {
		p.Detail = detail
	}
	return p
}

// maxRefusal is how many bytes of a title or a detail a redemption keeps, for whoever loads the page again.
const maxRefusal = 500

// maxWay is how many bytes of the way on are kept: of one that moves an account, with the path to return to.
const maxWay = 2 << 10

// unwelcome judges an error of OnLogin, by which nobody was signed in. A refusal is declared; anything else is
// a fault, and the person is not told that they have no access. The code is spent in each case.
func unwelcome(err error) *Problem {
	var declared *Problem
	switch {
	case errors.As(err, &declared):
		return refusal(declared, err)
	case errors.Is(err, sessionstore.ErrFull):
		return noRoom(err)
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, sessionstore.ErrOverloaded), errors.Is(err, context.DeadlineExceeded):
		return problem(reason.Interrupted, err)
	}
	return problem(reason.AppFailed, err)
}

// noRoom is the answer to err, a [sessionstore.ErrFull] that ends a sign-in. The page of a request that may be
// repeated as it is would say to wait, which does not help: the code is spent.
func noRoom(err error) *Problem {
	p := problem(reason.Full, err)
	p.Title, p.RetryAfter = answers[reason.Interrupted].title, 0
	p.Detail = "We have no room for another session right now, and this sign-in cannot be continued. Please start again in a moment."
	return p
}

// refusal is the answer to err, in which OnLogin has returned p.
func refusal(p *Problem, err error) *Problem {
	if p == nil {
		return problem(reason.AppFailed, errors.New("middleware: OnLogin: a *Problem that is nil"))
	}
	if p.Reason == reason.Store { // of Take and the like: their page says that nobody has to sign in again
		return problem(reason.Interrupted, err)
	}
	if p.Reason == reason.Full && (p.Detail == "" || p.Detail == answers[reason.Full].detail) { // ours, which says to wait
		return noRoom(err)
	}
	own := *p
	if own.Reason == "" {
		own.Reason = reason.OnLogin
	}
	own = *own.whole()
	own.RetryAfter = 0
	if err != error(p) {
		own.cause = err
	}
	return &own
}

// toldOf returns what p tells somebody, for whoever loads the page again: they are told the same.
func toldOf(p *Problem) signin.Told {
	f := signin.Told{Code: string(p.Reason), ProviderCode: p.ProviderCode}
	t, known := answers[p.Reason]
	if !known { // of the app's own
		f.Code, f.Own = reason.OnLogin, keys.Clip(string(p.Reason), maxRefusal)
	}
	if len(p.LoginURL) <= maxWay { // else it starts again, as any other
		f.LoginURL, f.LoginPost = p.LoginURL, p.LoginPost
	}
	if t.status != p.Status || t.title != p.Title || t.detail != p.Detail {
		f.Status, f.Title, f.Detail = p.Status, keys.Clip(p.Title, maxRefusal), keys.Clip(p.Detail, maxRefusal)
	}
	return f
}

// problemTold returns the Problem of what toldOf has kept.
func problemTold(f signin.Told) *Problem {
	p := problem(f.Code, nil)
	p.ProviderCode, p.RetryAfter = f.ProviderCode, 0
	p.Reason, p.LoginURL, p.LoginPost = Reason(cmp.Or(f.Own, f.Code)), f.LoginURL, f.LoginPost
	if f.Status >= 400 && f.Status <= 599 {
		p.Status, p.Title, p.Detail = f.Status, strings.ToValidUTF8(f.Title, ""), strings.ToValidUTF8(f.Detail, "")
	}
	return p
}

// failure returns the Problem of a sign-in that failed with err.
func (a *Auth) failure(q *session.Request, f *signin.Flow, err error) *Problem {
	var own *Problem
	var taken *signin.TakenError
	var refused *reason.Error
	switch {
	case errors.As(err, &own): // of OnLogin
		p := *own
		return &p
	case errors.As(err, &taken):
		p := problem(reason.IdentityTaken, nil)
		p.Provider = taken.Provider
		return a.move(p, q.Now.Load(), f, taken.Account, a.signins.Landing(q.Outer, f))
	case errors.As(err, &refused) && refused.Spent && refused.Code == reason.Full:
		return noRoom(refused.Cause)
	}
	return problemOf(err)
}

// tellFailure returns what somebody is told about err, which is to be kept.
func (a *Auth) tellFailure(q *session.Request, f *signin.Flow, err error) signin.Told {
	return toldOf(a.failure(q, f, err))
}

// knows reports whether this version can tell somebody about a reason.
func knows(code string) bool {
	_, known := answers[Reason(code)]
	return known
}

// admit asks the app whether somebody may sign in.
func (a *Auth) admit(onLogin func(context.Context, *Login) error) func(context.Context, *signin.Admission) error {
	if onLogin == nil {
		return nil
	}
	return func(ctx context.Context, l *signin.Admission) error {
		err := onLogin(ctx, &Login{Account: (*Account)(l.Account), IsNew: l.IsNew, Provider: l.Provider, Token: l.Token, Former: l.Former})
		if err == nil && l.Account.ID == "" {
			err = errors.New("middleware: OnLogin: empty Account.ID")
		}
		if err != nil {
			return unwelcome(err)
		}
		return nil
	}
}
