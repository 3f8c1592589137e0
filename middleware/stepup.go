package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers"
)

// A StepUpError says what somebody has to do at a provider before it goes on: connect it, sign in
// there again, allow more, or prove better who they are. Give it to [Answer], which sends them
// there, or its Need to [LoginURL].
//
// [errors.Is] finds what is behind it: [ErrNotConnected], [ErrReauthRequired] or [ErrStepUp].
type StepUpError struct {
	Need  Need
	cause error
}

// Error says which connection it is about, and why.
func (e *StepUpError) Error() string {
	return "middleware: " + connected(e.Need.Provider, e.Need.Label) + ": " + strings.TrimPrefix(e.Unwrap().Error(), "middleware: ")
}

// Unwrap returns the cause.
func (e *StepUpError) Unwrap() error {
	if e.cause == nil {
		return ErrStepUp
	}
	return e.cause
}

// lack returns how the session falls short, as the gate sees it.
func (e *StepUpError) lack() lack {
	switch {
	case errors.Is(e, ErrNotConnected):
		return lacksProvider
	case errors.Is(e, ErrReauthRequired):
		return lacksToken
	case len(e.Need.ACR) > 0:
		return lacksLevel
	case e.Need.MaxAge > 0:
		return lacksAge
	}
	return lacksScope
}

// stepUp returns what an API's refusal asks for; nil if it is about something else. RFC 6750,
// section 3.1, and RFC 9470, section 3.
func stepUpOf(c providers.Challenge, provider, label string) error {
	n := Need{Provider: provider, Label: label, again: true}
	switch c.Error {
	case "insufficient_scope":
		n.Scopes = c.Scopes
	case "insufficient_user_authentication":
		n.ACR, n.MaxAge = c.ACR, c.MaxAge
	default:
		return nil
	}
	return &StepUpError{Need: n}
}

// Answer answers a request whose handler met err, which may come from [Token], [Client] (in the
// *url.Error of a request) or [User]. Somebody who has to sign in, connect a provider or step up is
// sent there and comes back to the same URL, if they were loading a page; everything else gets 401
// and a problem document (RFC 9457) that has the URL to do that at. A provider or store that does
// not answer is 503, and an error of any other kind 500; their text stays in the log.
//
// It does what [Auth.Require] does, a moment later: a page that came back and still lacks what it
// went for is shown with a button instead. The handler must not have begun its answer, and
// returns after Answer. nil is answered with 500 as well: call it only for errors.
func Answer(w http.ResponseWriter, r *http.Request, err error) {
	q, none := from(r.Context())
	if none != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	a := q.auth
	if q.writer.begun.Load() {
		a.event(q, slog.LevelError, "handler failed within its answer", ReasonHandler, slog.Any("error", err))
		return
	}
	h := w.Header()
	for _, name := range representation {
		if name != "Set-Cookie" {
			delete(h, name)
		}
	}
	if p := a.judge(w, q, r, err); p != nil {
		a.refuse(w, r, p)
	}
}

// judge answers by a redirect, or returns the problem that err is.
func (a *Auth) judge(w http.ResponseWriter, q *request, r *http.Request, err error) *Problem {
	var step *StepUpError
	var given *Problem
	switch {
	case errors.As(err, &given):
		own := *given // all who wait for one refresh are given one error
		return &own
	case errors.As(err, &step) && q.view().signedIn():
		if a.providers[step.Need.Provider] == nil {
			return problem(ReasonHandler, err)
		}
		return unauthorized(a.stop(w, q, r, step.Need, step.lack()))
	case errors.Is(err, ErrSignedOut), step != nil:
		return a.stop(w, q, r, Need{}, lacksUser)
	case errors.Is(err, providers.ErrUnavailable):
		p := problem(ReasonProviderDown, err)
		var e *providers.Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			p.RetryAfter = max(e.RetryAfter.Round(time.Second), time.Second)
		}
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return problem(ReasonProviderDown, err)
	}
	return problem(ReasonHandler, err)
}

// unauthorized makes a refusal for what an API asked one that scripts take for "sign in": the
// document carries where.
func unauthorized(p *Problem) *Problem {
	if p != nil && p.Reason == ReasonNeed {
		p.Status = http.StatusUnauthorized
	}
	return p
}

// HandlerFunc is a handler that may fail: [Answer] answers for it then.
//
//	mux.Handle("GET /videos", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
//		resp, err := middleware.Client(r.Context(), "vimeo").Get("/me/videos")
//		if err != nil {
//			return err
//		}
//		…
//	}))
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP calls f.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Answer(w, r, err)
	}
}
