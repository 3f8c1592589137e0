package main

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/returnleg/returnleg/middleware"
)

type shareData struct {
	Form            invitation
	Errors          mistakes
	Shelf           []video
	Sent            []invitation
	Label, Provider string // of the service
	Scope           string // with which others may watch; "": the service has no say in it
	Granted         bool   // the person has allowed it
}

// Needs reports whether the service wants to be asked before others may watch.
func (d shareData) Needs() bool { return d.Scope != "" }

// shareNeed is what letting others watch needs of the person who signed in with s: one scope more
// than signing in did. It is asked for when somebody first shares, not before.
func (s *service) shareNeed() middleware.Need {
	return middleware.Need{Provider: s.Name, Scopes: []string{s.share}}
}

// granted reports whether the person of ctx has allowed all of n.
func granted(ctx context.Context, n middleware.Need) (bool, error) {
	err := middleware.Check(ctx, n)
	var lacks *middleware.StepUpError
	if errors.As(err, &lacks) && !errors.Is(err, middleware.ErrSignedOut) {
		return false, nil
	}
	return err == nil, err
}

// declined reports whether the person of ctx has lately said no to some of n.
func declined(ctx context.Context, n middleware.Need) (bool, error) {
	all, err := middleware.Connections(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(all, func(c middleware.Connection) bool {
		return c.Provider == n.Provider && c.Label == n.Label &&
			slices.ContainsFunc(n.Scopes, func(s string) bool { return slices.Contains(c.Declined, s) })
	}), nil
}

// showShare shows the form: as it was left by the tab that comes back from allowing more, else empty.
func (a *app) showShare(w http.ResponseWriter, r *http.Request) error {
	var i invitation
	if err := middleware.Returned(r.Context(), &i); err != nil && !errors.Is(err, middleware.ErrNoPage) {
		return err
	}
	notice, err := a.news(r.Context())
	if err != nil {
		return err
	}
	return a.shareForm(w, r, http.StatusOK, i, nil, notice)
}

func (a *app) shareForm(w http.ResponseWriter, r *http.Request, status int, i invitation, wrong mistakes, notice string) error {
	pg := a.page(r, "Share your library")
	data, saidNo, err := a.shareOf(r.Context(), pg.Account)
	if err != nil {
		return err
	}
	data.Form, data.Errors = i, wrong
	if saidNo && notice == "" && wrong == nil {
		notice = i.still(data.Label + " still does not let others watch: that box was left empty.")
	}
	w.Header().Set("Content-Security-Policy", a.policy("")) // see formPage
	keepForm(w.Header())
	pg.Notice, pg.Data = notice, data
	return a.pages.render(w, status, "share", pg)
}

// shareOf returns what the page shows to the person of acc, and whether they have lately said no to what
// it needs.
func (a *app) shareOf(ctx context.Context, acc *middleware.Account) (data shareData, saidNo bool, err error) {
	if acc == nil {
		return data, false, middleware.ErrSignedOut
	}
	p := a.people.find(acc.ID)
	s := a.signedInWith(ctx)
	data = shareData{Shelf: p.Videos, Sent: p.Invitations, Label: s.Label, Provider: s.Name, Scope: s.share}
	if !data.Needs() {
		return data, false, nil
	}
	if data.Granted, err = granted(ctx, s.shareNeed()); err != nil || data.Granted {
		return data, false, err
	}
	saidNo, err = declined(ctx, s.shareNeed())
	return data, saidNo, err
}

// showPermission is the part of the form that asks to be allowed more. The script of a page that stayed
// open puts it in place of its own when that has happened in another tab.
func (a *app) showPermission(w http.ResponseWriter, r *http.Request) error {
	pg := a.page(r, "")
	data, _, err := a.shareOf(r.Context(), pg.Account)
	if err != nil {
		return err
	}
	pg.Data = data
	return a.pages.renderPart(w, http.StatusOK, "share", "permission", pg)
}

// allowShare leaves in the middle of the form, to ask for what sharing needs and is not allowed yet. A no
// takes nothing away that was allowed before.
func (a *app) allowShare(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	i := invitationOf(r)
	if wrong := i.tooLong(); wrong != nil {
		return a.shareForm(w, r, http.StatusUnprocessableEntity, i, wrong, "")
	}
	s := a.signedInWith(ctx)
	if s.share == "" {
		return a.shareForm(w, r, http.StatusOK, i, nil, "There is nothing to allow at "+s.Label+": just send the invitation.")
	}
	switch yes, err := granted(ctx, s.shareNeed()); {
	case err != nil:
		return err
	case yes:
		return a.shareForm(w, r, http.StatusOK, i, nil, i.still("It is allowed already."))
	}
	to, err := a.leaveShare(ctx, i, s.shareNeed())
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// leaveShare keeps the form, and returns where what n lacks is asked for.
func (a *app) leaveShare(ctx context.Context, i invitation, n middleware.Need) (string, error) {
	if err := middleware.SavePage(ctx, i); err != nil {
		return "", err
	}
	return middleware.LoginURL(ctx, n, "/share")
}

// share takes the finished form. A real library would tell the provider's API now, with the new scope.
func (a *app) share(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	acc, err := middleware.User(ctx)
	if err != nil {
		return err
	}
	i := invitationOf(r).from(a.people.find(acc.ID).Videos)
	s := a.signedInWith(ctx)
	if s.share != "" {
		yes, err := granted(ctx, s.shareNeed())
		if err != nil {
			return err
		}
		if !yes {
			return a.shareForm(w, r, http.StatusForbidden, i, nil, i.still("Allow sharing at "+s.Label+" first."))
		}
	}
	if wrong := i.mistakes(); wrong != nil {
		return a.shareForm(w, r, http.StatusUnprocessableEntity, i, wrong, "")
	}
	a.people.change(acc.ID, func(p *person) {
		p.Invitations = slices.Insert(p.Invitations, 0, i)
		p.Invitations = p.Invitations[:min(len(p.Invitations), maxInvitations)]
	})
	a.tell(ctx, "The invitation for "+i.To+" is in the list below.")
	http.Redirect(w, r, "/share", http.StatusSeeOther)
	return nil
}

// shareChanged answers a form whose person is not signed in any more, or somebody else is, by another
// tab. Nothing is sent in the wrong name, and nothing is lost.
func (a *app) shareChanged(w http.ResponseWriter, r *http.Request) error {
	i := invitationOf(r)
	_, err := middleware.User(r.Context())
	if err == nil {
		return a.shareForm(w, r, http.StatusConflict, i, nil, "You are signed in differently than when you opened this page. Nothing was sent: look it over, then go on.")
	}
	to, err := a.leaveShare(r.Context(), i, middleware.Need{})
	if err != nil {
		return err
	}
	detail := "It happened in another tab. Nothing was sent."
	if i.still("") != "" {
		detail = "It happened in another tab. Nothing was sent, and what you have filled in is kept while you sign in again."
	}
	a.showTrouble(w, r, http.StatusConflict, trouble{
		Title: "You were signed out", Detail: detail,
		Retry: to, RetryLabel: "Sign in", Back: "/",
	})
	return nil
}
