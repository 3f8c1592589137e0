package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/returnleg/returnleg/middleware"
)

// pages adds what shows, and changes, all that a session may hold.
func (a *app) pages(mux *http.ServeMux) {
	page := func(path string, f func(r *http.Request) (string, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			text, err := f(r)
			if err != nil {
				middleware.Answer(w, r, err)
				return
			}
			fmt.Fprint(w, text)
		})
	}
	page("/access", func(r *http.Request) (string, error) {
		t, err := middleware.Token(r.Context(), "")
		if err != nil {
			return "", err
		}
		return t.Access, nil
	})
	page("/leave", func(r *http.Request) (string, error) { // where to go with what is half filled in
		if err := middleware.SavePage(r.Context(), r.FormValue("page")); err != nil {
			return "", err
		}
		return middleware.LoginURL(r.Context(), middleware.Need{Scopes: strings.Fields(r.FormValue("scope"))}, "/returned")
	})
	page("/returned", func(r *http.Request) (text string, err error) {
		return text, middleware.Returned(r.Context(), &text)
	})
	page("/tag", func(r *http.Request) (string, error) { return middleware.PageTag(r.Context()), nil })
	page("/connections", func(r *http.Request) (string, error) {
		all, err := middleware.Connections(r.Context())
		var names []string
		for _, c := range all {
			names = append(names, c.Provider+":"+c.Label+" "+strings.Join(c.Scopes, ","))
		}
		return strings.Join(names, "; "), err
	})
	page("/sessions", func(r *http.Request) (string, error) {
		acc, err := middleware.User(r.Context())
		if err != nil {
			return "", err
		}
		all, err := a.auth.SessionsOf(r.Context(), acc.ID)
		return fmt.Sprint(len(all)), err
	})
	page("/renew", func(r *http.Request) (string, error) { return "", a.auth.Sessions().RenewToken(r.Context()) })
	page("/address", func(r *http.Request) (string, error) { // of a type that a session takes from the next version on
		if v := r.FormValue("v"); v != "" {
			addr, err := netip.ParseAddr(v)
			a.auth.Sessions().Put(r.Context(), "address", addr)
			return "", err
		}
		return fmt.Sprint(a.auth.Sessions().Get(r.Context(), "address")), nil
	})
}

// loginURL returns what a problem document says about where to go on.
func loginURL(a answer) string {
	var p struct {
		To string `json:"login_url"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		return ""
	}
	return p.To
}
