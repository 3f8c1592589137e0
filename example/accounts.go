package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/middleware"
)

// A linked is one connection, as the page shows it.
type linked struct {
	middleware.Connection
	Service string // as people know it
	First   bool   // the one of the sign-in
}

// Allowed says in plain words what the connection may be used for; a scope without any is shown as it is.
func (l linked) Allowed() string {
	var all []string
	for _, s := range l.Scopes {
		all = append(all, cmp.Or(permissions[s], s))
	}
	return strings.Join(all, ", ")
}

var permissions = map[string]string{
	"openid": "who you are", "profile": "your name", "email": "your e-mail address", "offline_access": "access while you are away",
	"videos": "your videos", "videos.edit": "letting others watch them", // of the practice provider
}

// An offer is a service of which an account can be connected.
type offer struct {
	service
	Another bool // one is connected already: this one needs a name to tell them apart
}

type accountsData struct {
	Linked  []linked
	Offers  []offer
	Devices []middleware.Session
	Notice  string // what was done just now
	Called  string // what was typed as a name
	Of      string // the service that it was typed for
	Error   string // about that name; about the page if Of is empty
}

// showAccounts lists what the session is connected with, and where else the person is signed in.
func (a *app) showAccounts(w http.ResponseWriter, r *http.Request) error {
	notice, err := a.news(r.Context())
	if err != nil {
		return err
	}
	return a.accountsForm(w, r, http.StatusOK, accountsData{Notice: notice})
}

func (a *app) accountsForm(w http.ResponseWriter, r *http.Request, status int, data accountsData) error {
	ctx := r.Context()
	acc, err := middleware.User(ctx)
	if err != nil {
		return err
	}
	all, err := middleware.Connections(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		l := linked{Connection: c, Service: c.Provider, First: c.Provider == acc.Provider && c.Label == ""}
		if s := a.service(c.Provider); s != nil {
			l.Service = s.Label
		}
		data.Linked = append(data.Linked, l)
	}
	for _, s := range a.services {
		data.Offers = append(data.Offers, offer{s, connectedAs(all, s.Name, "")})
	}
	if data.Devices, err = a.auth.SessionsOf(ctx, acc.ID); err != nil {
		return err
	}
	// This browser first.
	slices.SortStableFunc(data.Devices, func(x, y middleware.Session) int {
		switch {
		case x.Current:
			return -1
		case y.Current:
			return 1
		}
		return 0
	})
	w.Header().Set("Content-Security-Policy", a.policy("")) // see formPage
	pg := a.page(r, "Accounts")
	pg.Notice, pg.Data = data.Notice, data
	return a.pages.render(w, status, "accounts", pg)
}

// connectedAs reports whether there is a connection of that name, and of use.
func connectedAs(all []middleware.Connection, provider, label string) bool {
	return slices.ContainsFunc(all, func(c middleware.Connection) bool { return c.Provider == provider && c.Label == label && !c.Ended })
}

// link leaves for a provider to connect one more account. The form has purpose=link in it, and 307 makes
// the browser post it again, to the address that starts the sign-in: a mere link would sign in as
// somebody else. In between, it was seen that the page was made for whoever is signed in.
func (a *app) link(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	s := a.service(r.PostFormValue("provider"))
	if s == nil {
		return a.accountsForm(w, r, http.StatusUnprocessableEntity, accountsData{Error: "Choose an account to connect."})
	}
	again := func(text string) error {
		return a.accountsForm(w, r, http.StatusUnprocessableEntity, accountsData{
			Called: r.PostFormValue("called"), Of: s.Name, Error: text,
		})
	}
	all, err := middleware.Connections(ctx)
	if err != nil {
		return err
	}
	need := middleware.Need{Provider: s.Name}
	if connectedAs(all, s.Name, "") {
		need.Label = labelOf(r.PostFormValue("called"))
		if need.Label == "" {
			return again("Give the account a short name, of letters a to z and digits.")
		}
		if connectedAs(all, s.Name, need.Label) {
			return again("An account of that name is connected already.")
		}
	}
	to, err := middleware.LoginURL(ctx, need, "/accounts")
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	return nil
}

// labelOf returns the label for a name that somebody typed: "My work" is "my-work". "" if it cannot
// be one.
func labelOf(name string) string {
	label := strings.ToLower(strings.Join(strings.Fields(name), "-"))
	if len(label) > 32 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return ""
	}
	return label
}

// disconnect gives one connection back. Who is signed in stays so.
func (a *app) disconnect(w http.ResponseWriter, r *http.Request) error {
	ctx := middleware.WithConnection(r.Context(), r.PostFormValue("label"))
	if err := middleware.Disconnect(ctx, r.PostFormValue("provider")); err != nil {
		return err
	}
	a.tell(r.Context(), "The account is disconnected. Your library stays as it is.")
	http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	return nil
}

// signOutDevice ends one session of the person. The id of anybody else's ends nothing.
func (a *app) signOutDevice(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	acc, err := middleware.User(ctx)
	if err != nil {
		return err
	}
	if err := a.auth.EndSession(ctx, acc.ID, r.PostFormValue("session")); err != nil {
		return err
	}
	a.tell(ctx, "That browser is signed out.")
	http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	return nil
}

// signOutOthers ends every session of the person but this one.
func (a *app) signOutOthers(w http.ResponseWriter, r *http.Request) error {
	if err := middleware.SignOutOthers(r.Context()); err != nil {
		return err
	}
	a.tell(r.Context(), "You are signed out everywhere but here.")
	http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	return nil
}

// tell keeps a sentence for the page that comes next.
func (a *app) tell(ctx context.Context, text string) { a.auth.Sessions().Put(ctx, "news", text) }

// news returns the sentence that tell kept, once: of two tabs that ask, one gets it.
func (a *app) news(ctx context.Context) (string, error) {
	v, _, err := middleware.Take(ctx, "news")
	text, _ := v.(string)
	return text, err
}
