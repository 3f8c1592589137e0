package main

import (
	"errors"
	"net/http"

	"github.com/returnleg/returnleg/middleware"
)

type libraryData struct {
	Draft             draft
	Errors            mistakes
	Audiences, Habits []choice
}

// showLibrary shows the form: as it was left by the tab that comes back from the provider, or by the one that
// waits for it, else as the person saved it, else empty.
func (a *app) showLibrary(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if !a.accepted(ctx) {
		http.Redirect(w, r, withPage("/terms", r.URL.Query().Get("rl")), http.StatusSeeOther)
		return nil
	}
	var d draft
	if acc, err := middleware.User(ctx); err == nil {
		d = a.people.find(acc.ID).Library
	}
	// The tab that returned has an id in its URL, and this finds what was saved under it. Only the
	// browser that left finds it, and a reload finds it again.
	var returned draft
	switch err := middleware.Returned(ctx, &returned); {
	case err == nil:
		d = returned
	case !errors.Is(err, middleware.ErrNoPage):
		return err
	}
	if waiting, ok := a.waitingDraft(r); ok {
		d = waiting // this tab has left again since, for another one
	}
	return a.formPage(w, r, http.StatusOK, d, nil, "")
}

func (a *app) formPage(w http.ResponseWriter, r *http.Request, status int, d draft, wrong []mistake, notice string) error {
	// The form starts a sign-in by POST, and form-action would have to name every host that the
	// provider's answer may pass through, which nobody knows: a company's provider may hand over
	// to another one. So this page goes without; the other pages have it.
	w.Header().Set("Content-Security-Policy", a.policy(""))
	keepForm(w.Header())
	pg := a.page(r, "Your library")
	pg.Notice = notice
	pg.Data = libraryData{Draft: d, Errors: wrong, Audiences: audiences, Habits: habits}
	return a.pages.render(w, status, "library", pg)
}

// showAccount is the part of the form that names the person. The script of a page that stayed open puts
// it in place of its own when somebody has signed in, or out, in another tab.
func (a *app) showAccount(w http.ResponseWriter, r *http.Request) error {
	return a.pages.renderPart(w, http.StatusOK, "library", "change", a.page(r, ""))
}

// connect leaves for the provider, in the new tab that the form opened: what was filled in waits for
// the way back. Whoever has connected meanwhile, in another tab, need not do it again.
func (a *app) connect(w http.ResponseWriter, r *http.Request) error {
	d := draftOf(r)
	if wrong := d.tooLong(); wrong != nil {
		return a.formPage(w, r, http.StatusUnprocessableEntity, d, wrong, "")
	}
	s := a.service(r.PostFormValue("provider"))
	if s == nil {
		return a.formPage(w, r, http.StatusUnprocessableEntity, d, nil, "Choose an account to connect.")
	}
	ctx := r.Context()
	if _, err := middleware.User(ctx); err == nil {
		return a.formPage(w, r, http.StatusOK, d, nil, d.still("You are connected already."))
	}
	if err := middleware.SavePage(ctx, d); err != nil {
		return err
	}
	if err := a.keepWaiting(r, d); err != nil {
		return err
	}
	to, err := middleware.LoginURL(ctx, middleware.Need{Provider: s.Name}, "/library")
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// saveLibrary takes the finished form, of any tab: one that was opened before its person was signed in,
// and has no script that noticed, too.
func (a *app) saveLibrary(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	d := draftOf(r)
	acc, err := middleware.User(ctx)
	if errors.Is(err, middleware.ErrSignedOut) {
		return a.formPage(w, r, http.StatusUnauthorized, d, nil, d.still("Connect your account first."))
	}
	if err != nil {
		return err
	}
	if wrong := d.mistakes(); wrong != nil {
		return a.formPage(w, r, http.StatusUnprocessableEntity, d, wrong, "")
	}
	if !a.accepted(ctx) {
		http.Redirect(w, r, "/terms", http.StatusSeeOther)
		return nil
	}
	a.people.change(acc.ID, func(p *person) { p.Library, p.Terms = d, true })
	a.forgetWaiting(ctx)
	if err := middleware.ClearPage(ctx); err != nil && !errors.Is(err, middleware.ErrNoPage) {
		return err
	}
	http.Redirect(w, r, "/videos", http.StatusSeeOther)
	return nil
}
