package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// logout answers {Prefix}/logout: a POST from a page of ours signs out, a GET asks.
func (a *Auth) logout(w http.ResponseWriter, q *request) *Problem {
	r := q.r
	if p := methods(w, r, http.MethodGet, http.MethodHead, http.MethodPost); p != nil {
		return p
	}
	if r.Method != http.MethodPost {
		a.askToSignOut(w, q)
		return nil
	}
	if a.crossOrigin(r) {
		return problem(ReasonCrossOrigin, nil)
	}
	if p := readForm(w, r); p != nil {
		return p
	}
	back, ok := a.ownPath(r.Form.Get(returnParam))
	if !ok {
		back = a.home
	}
	_ = SignOut(q) // q is a request of ours
	if err := q.save(snapshot{}); err != nil {
		// The cookie stays: a session that may still be there is one that can still be ended.
		return problem(ReasonStore, err)
	}
	redirect(w, back)
	return nil
}

// askToSignOut shows the page with the button, to somebody who is signed in.
func (a *Auth) askToSignOut(w http.ResponseWriter, q *request) {
	s := q.view()
	if q.keptBack() && q.again(w, "") {
		return // who is signed in cannot be seen yet
	}
	page := problemPage{
		Problem: &Problem{Title: "Sign out?", Detail: "You will have to sign in again to come back."},
		Home:    a.home, SignOut: a.prefix + "/logout",
	}
	if !s.signedIn() {
		page.Problem = &Problem{Title: "You are signed out", Detail: "In this browser, nobody is signed in."}
		page.SignOut = ""
	}
	a.writePage(w, http.StatusOK, page)
}

// late tells the log what a handler changed after its answer had begun and did not save.
func (q *request) late() {
	q.mu.Lock()
	loaded, pending := q.data.loaded != nil, len(q.pages)+len(q.forget) > 0 || q.signOut || q.renew
	noted := len(q.notes) > 0
	q.mu.Unlock()
	if noted {
		q.tell()
	}
	if !loaded && !pending {
		return
	}
	sn, err := q.snap()
	if err == nil && !pending && sn.modified {
		q.mu.Lock()
		base := q.data.base
		if base == nil {
			base = q.data.baseline(q.session.Load())
		}
		q.mu.Unlock()
		set, del := sn.diff(base)
		pending = len(set)+len(del) > 0 || sn.ended || sn.renewed
	}
	if err != nil || pending {
		q.mu.Lock()
		told := q.saved
		q.mu.Unlock()
		switch {
		case told == nil || errors.Is(told, errNoCookie):
		case errors.Is(told, ErrNotSaved):
			q.auth.visitorEvent(context.WithoutCancel(q), slog.LevelInfo, "session not saved", unsaved(told))
			return
		default:
			q.auth.visitorEvent(context.WithoutCancel(q), slog.LevelWarn, "session not saved", storing(told), slog.Any("error", told))
			return
		}
		q.auth.visitorEvent(context.WithoutCancel(q), slog.LevelWarn, "session changed too late", ReasonLateWrite, slog.String("path", q.r.URL.Path))
	}
}
