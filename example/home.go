package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/returnleg/returnleg/middleware"
)

// showHome greets, and knows the next step.
func (a *app) showHome(w http.ResponseWriter, r *http.Request) error {
	pg := a.page(r, "A quiet shelf for the films you keep")
	data := struct {
		Person          person
		Next, NextLabel string
	}{Next: "/terms", NextLabel: "Begin"}
	if pg.Account != nil {
		pg.Title = "Welcome"
		data.Person = a.people.find(pg.Account.ID)
	}
	switch {
	case len(data.Person.Videos) > 0:
		data.Next, data.NextLabel = "/videos", "Change the videos"
	case data.Person.Library.Name != "":
		data.Next, data.NextLabel = "/videos", "Choose videos"
	case a.accepted(r.Context()):
		data.Next, data.NextLabel = "/library", "Continue with your library"
	case pg.Account != nil:
		data.NextLabel = "Continue"
	}
	pg.Data = data
	return a.pages.render(w, http.StatusOK, "home", pg)
}

type termsData struct {
	Accepted bool
	Page     string // id of what was filled in before, to be carried on
	Error    string
}

// withPage returns path with the id of a page state: the kit reads it as the parameter rl.
func withPage(path, id string) string {
	if id == "" {
		return path
	}
	return path + "?" + url.Values{"rl": {id}}.Encode()
}

func (a *app) showTerms(w http.ResponseWriter, r *http.Request) error {
	pg := a.page(r, "Terms")
	pg.Data = termsData{Accepted: a.accepted(r.Context()), Page: r.URL.Query().Get("rl")}
	return a.pages.render(w, http.StatusOK, "terms", pg)
}

// acceptTerms notes in the session that the terms were accepted: nobody has to be signed in for that.
func (a *app) acceptTerms(w http.ResponseWriter, r *http.Request) error {
	if r.PostFormValue("agree") != "yes" {
		pg := a.page(r, "Terms")
		pg.Data = termsData{Page: r.PostFormValue("rl"), Error: "Tick the box if you accept the terms."}
		return a.pages.render(w, http.StatusUnprocessableEntity, "terms", pg)
	}
	a.auth.Sessions().Put(r.Context(), "terms", true)
	http.Redirect(w, r, withPage("/library", r.PostFormValue("rl")), http.StatusSeeOther)
	return nil
}

// accepted reports whether the terms were accepted, in this session or by this person before.
func (a *app) accepted(ctx context.Context) bool {
	if a.auth.Sessions().GetBool(ctx, "terms") {
		return true
	}
	acc, err := middleware.User(ctx)
	return err == nil && a.people.find(acc.ID).Terms
}
