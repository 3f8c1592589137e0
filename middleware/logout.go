package middleware

import (
	"net/http"

	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
)

// logout answers {Prefix}/logout: a POST from a page of ours signs out, a GET asks.
func (q *request) logout(w http.ResponseWriter) *Problem {
	a := q.auth
	r := q.r
	if p := methods(w, r, http.MethodGet, http.MethodHead, http.MethodPost); p != nil {
		return p
	}
	if r.Method != http.MethodPost {
		q.askToSignOut(w)
		return nil
	}
	if a.app.CrossOrigin(r) {
		return problem(reason.CrossOrigin, nil)
	}
	if err := web.ReadForm(w, r); err != nil {
		return problemOf(err)
	}
	back, ok := a.app.OwnPath(r.Form.Get(returnParam))
	if !ok {
		back = a.app.Home
	}
	_ = SignOut(q) // q is a request of ours
	if err := q.Save(session.Snapshot{}); err != nil {
		// The cookie stays: a session that may still be there is one that can still be ended.
		return problem(reason.Store, err)
	}
	web.Redirect(w, back)
	return nil
}

// askToSignOut shows the page with the button, to somebody who is signed in.
func (q *request) askToSignOut(w http.ResponseWriter) {
	a := q.auth
	s := q.View()
	if q.keptBack() && q.again(w, "") {
		return // who is signed in cannot be seen yet
	}
	p := page.Page{
		Status: http.StatusOK, Title: "Sign out?", Detail: "You will have to sign in again to come back.",
		Home: a.app.Home, SignOut: a.app.Prefix + "/logout",
	}
	if !s.SignedIn() {
		p.Title, p.Detail, p.SignOut = "You are signed out", "In this browser, nobody is signed in.", ""
	}
	p.Write(w)
}
