package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
)

// A StepUpError says what somebody has to do at a provider before it goes on: connect it, sign in
// there again, allow more, or prove better who they are. Give it to [Answer], which sends them
// there, or its Need to [LoginURL].
//
// [errors.Is] finds what is behind it: [ErrNotConnected], [ErrReauthRequired], [ErrStepUp], or of
// [Check] also [ErrSignedOut].
type StepUpError struct {
	Need  Need
	lacks connection.Lack
}

// Error says which connection it is about, and why.
func (e *StepUpError) Error() string {
	if e.Need.Provider == "" {
		return e.Unwrap().Error()
	}
	return "middleware: " + connection.ID(e.Need.Provider, e.Need.Label) + ": " + strings.TrimPrefix(e.Unwrap().Error(), "middleware: ")
}

// Unwrap returns the cause.
func (e *StepUpError) Unwrap() error { return e.lacks.Cause() }

// Answer answers a request whose handler met err, which may come from [Token], [Client] (in the
// *url.Error of a request), [Check] or [User], wrapped or not. Somebody who has to sign in, connect a
// provider or step up is sent there and comes back to the same URL, if they were loading a page;
// everything else gets 401 and a problem document (RFC 9457) that has the URL to do that at. An
// [ErrReauthRequired], [ErrNotConnected] or [ErrStepUp] that does not say which connection it is
// about, because it is not of a [*StepUpError], is about that of the sign-in.
//
// A provider or store that does not answer is 503; a [*Problem] is itself, and what it leaves out
// follows from its Reason; an error of any other kind is 500, and its text stays in the log. When
// the client has gone the answer is for nobody, and the log says so instead of naming a fault.
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
	if q.writer.Begun.Load() {
		a.env.Log.Visitor(q, slog.LevelError, "handler failed within its answer", reason.Handler, slog.Any("error", err))
		return
	}
	h := w.Header()
	web.DropRepresentation(h, "Set-Cookie")
	if p := q.judge(w, r, err); p != nil {
		a.refuse(w, r, p)
	}
}

// judge answers by a redirect, or returns the problem that err is.
func (q *request) judge(w http.ResponseWriter, r *http.Request, err error) *Problem {
	a := q.auth
	var given *Problem
	if errors.As(err, &given) {
		return given.whole() // a copy: all who wait for one refresh are given one error
	}
	if n, l := lackOf(err); l != connection.LacksNothing {
		if l != connection.LacksUser && !q.View().SignedIn() {
			n, l = connection.Need{}, connection.LacksUser // first they sign in
		}
		if n.Provider != "" && a.connections.Providers[n.Provider] == nil {
			return problem(reason.Handler, err)
		}
		return q.stop(w, r, n, l)
	}
	switch {
	case errors.Is(err, ErrNotSaved):
		return q.notSaved(err)
	case errors.Is(err, providers.ErrUnavailable):
		p := problem(reason.APIDown, err)
		var e *providers.Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			p.RetryAfter = max(e.RetryAfter.Round(time.Second), time.Second)
		}
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return problem(reason.APIDown, err)
	}
	return problem(reason.Handler, err)
}

// lackOf returns what a session lacks, as err says.
func lackOf(err error) (connection.Need, connection.Lack) {
	var step *StepUpError
	switch {
	case errors.As(err, &step) && step.lacks == connection.LacksNothing:
		return step.Need.inner(), connection.LacksScope // one that the app has made itself
	case step != nil:
		return step.Need.inner(), step.lacks
	case errors.Is(err, ErrSignedOut):
		return connection.Need{}, connection.LacksUser
	case errors.Is(err, ErrNotConnected):
		return connection.Need{}, connection.LacksProvider
	case errors.Is(err, ErrReauthRequired):
		return connection.Need{}, connection.LacksToken
	case errors.Is(err, ErrStepUp):
		return connection.Need{}, connection.LacksLevel
	}
	return connection.Need{}, connection.LacksNothing
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

// ServeHTTP calls f, and [Answer] with the error that it returns, if any.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Answer(w, r, err)
	}
}

// outward returns an error of the rooms as an app sees it.
func outward(err error) error {
	if err == nil {
		return nil // as nearly always: at no cost
	}
	return translated(err)
}

// translated is outward of an error that is not nil.
func translated(err error) error {
	var step *connection.Shortfall
	var refused *reason.Error
	switch {
	case errors.As(err, &step):
		n := step.Need
		err = &StepUpError{Need: Need{Provider: n.Provider, Label: n.Label, Scopes: n.Scopes, ACR: n.ACR, MaxAge: n.MaxAge, again: n.Again}, lacks: step.Lacks}
		if step.Unconfigured {
			return fmt.Errorf("%w, and not configured", err)
		}
	case errors.As(err, &refused):
		return problemOf(err)
	}
	return err
}
