package main

import (
	"errors"
	"net/http"
	"strings"

	"github.com/returnleg/returnleg/middleware"
)

// A trouble is a page about something that did not work, with ways on.
type trouble struct {
	Title, Detail     string
	Retry, RetryLabel string // URL and text of the first button
	RetryPost         bool   // it has to be a form: it starts a sign-in that adds to an account
	Reload            bool   // the first button loads the same address, whatever it is, again
	Back, BackLabel   string // of the second one
	Hints             []string
}

func (a *app) showTrouble(w http.ResponseWriter, r *http.Request, status int, t trouble) {
	if t.RetryLabel == "" {
		t.RetryLabel = "Try again"
	}
	if t.BackLabel == "" {
		t.BackLabel = "Go to the start"
	}
	h := w.Header()
	a.secure(h)
	// The address may be that of a callback. No more than its origin goes out, and not less: without
	// a referrer the browser sends forms with "Origin: null", which no server can tell from a stranger's.
	h.Set("Referrer-Policy", "strict-origin")
	if t.RetryPost {
		h.Set("Content-Security-Policy", a.policy("")) // see formPage
	}
	pg := a.page(r, t.Title)
	pg.Step = nil
	pg.Data = t
	if err := a.pages.render(w, status, "problem", pg); err != nil {
		a.log.ErrorContext(r.Context(), "problem page", "path", r.URL.Path, "error", err)
	}
}

func (a *app) showNotFound(w http.ResponseWriter, r *http.Request) error {
	a.showTrouble(w, r, http.StatusNotFound, trouble{Title: "There is nothing here", Detail: "The page may have moved, or the address has a slip in it.", Back: "/"})
	return nil
}

// showForeign answers a form that another site sent. The kit looks after its own addresses, and a page
// tag says for whom a page was made, not who made it: the forms of the app are for the app to guard.
func (a *app) showForeign(w http.ResponseWriter, r *http.Request) error {
	a.showTrouble(w, r, http.StatusForbidden, trouble{Title: "Sent from another site", Detail: "Another site asked for this in your name, so nothing was done.", Back: "/"})
	return nil
}

// apiTrouble shows what came of asking the API of s.
func (a *app) apiTrouble(w http.ResponseWriter, r *http.Request, s *service, err error) error {
	ctx := r.Context()
	t := trouble{Back: "/library", BackLabel: "Back to your library"}
	need := middleware.Need{Provider: s.Name}
	var answer apiError
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, middleware.ErrReauthRequired), errors.Is(err, middleware.ErrNotConnected):
		status = http.StatusForbidden
		t.Title = "Your " + s.Label + " account needs connecting again"
		t.Detail = "The connection has ended over there. Your library is untouched."
		t.RetryLabel = "Connect again"
	case errors.Is(err, middleware.ErrStepUp), errors.As(err, &answer) && answer == http.StatusForbidden && s.scope != "":
		status = http.StatusForbidden
		need.Scopes = []string{s.scope}
		t.Title = "We may not see your videos yet"
		t.Detail = "When you connected " + s.Label + ", access to your videos was left out. You can allow it now."
		t.RetryLabel = "Allow access to videos"
	default:
		a.log.WarnContext(ctx, "API", "provider", s.Name, "error", err)
		t.Title = s.Label + " did not answer"
		t.Detail = "Your videos could not be read just now. Nothing is lost; try again in a moment."
		t.Retry = r.URL.Path
	}
	if t.Retry == "" {
		if t.Retry, err = middleware.LoginURL(ctx, need, "/videos"); err != nil {
			return err
		}
	}
	a.showTrouble(w, r, status, t)
	return nil
}

// showProblem shows what the kit refuses, in the app's own clothes.
func (a *app) showProblem(w http.ResponseWriter, r *http.Request, p *middleware.Problem) {
	if p.Reason == middleware.ReasonPageTag && a.showChanged(w, r, p) {
		return
	}
	t := trouble{Title: p.Title, Detail: p.Detail, Retry: p.LoginURL, RetryPost: p.LoginPost, Back: p.BackURL, Hints: p.Hints}
	t.Reload = p.Status >= http.StatusInternalServerError && t.Retry == "" && r.Method == http.MethodGet
	_, err := middleware.User(r.Context())
	switch {
	case p.Reason == middleware.ReasonDenied && err == nil:
		// Who is signed in has not lost that by saying no to more.
		t.Title, t.Detail = "Nothing was changed", "You said no, and that is fine. You are still signed in."
	case p.Reason == middleware.ReasonIdentityTaken:
		t.RetryLabel, t.Back = "Move it to this account", "/accounts"
	case p.Reason == middleware.ReasonPageTag && strings.HasPrefix(r.URL.Path, "/accounts/"):
		t.Back, t.BackLabel = "/accounts", "Open it again"
	}
	switch {
	case t.Back == "":
		t.Back = "/"
	case t.BackLabel == "":
		t.BackLabel = "Back to where you were"
	}
	a.showTrouble(w, r, p.Status, t)
}

// showChanged answers a form that was filled in before its person changed, in another tab: whoever is
// signed in now sees it with everything in place, and may say yes. It reports whether it did.
func (a *app) showChanged(w http.ResponseWriter, r *http.Request, p *middleware.Problem) bool {
	var err error
	switch r.URL.Path {
	case "/library":
		notice := "You are signed in differently than when you opened this page. Nothing was saved yet: look it over, then continue."
		err = a.formPage(w, r, p.Status, draftOf(r), nil, notice)
	case "/share", "/share/allow":
		err = a.shareChanged(w, r)
	default:
		return false
	}
	if err != nil {
		a.log.ErrorContext(r.Context(), "problem page", "path", r.URL.Path, "error", err)
		return false
	}
	return true
}
