package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// journey is everything that one browser meets with one provider, for tests that judge all of it.
type journey struct {
	k    *kit
	base string
	jar  http.CookieJar
	idp  *http.Client
	seen []step
}

// step is one answer of the app.
type step struct {
	what   string
	secret []string // what the request carried and nothing may repeat
	ours   bool     // answered by the kit
	*http.Response
}

// travel goes through every way in which a sign-in can end.
func travel(k *kit, base, provider string) *journey {
	k.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	idp, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	j := &journey{k: k, base: base, jar: jar, idp: &http.Client{Transport: k, Jar: idp}}
	other := map[string]string{"idp": "plain", "plain": "idp"}[provider]
	k.mux.Handle("/more/", k.auth.Require(middleware.Need{Provider: provider, Scopes: []string{"more"}})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "more")
	})))
	k.mux.Handle("/other", k.auth.Require(middleware.Need{Provider: other})(http.NotFoundHandler()))
	k.handle("/note", func(w http.ResponseWriter, r *http.Request) {
		k.auth.Sessions().Put(r.Context(), "note", "kept")
		if err := middleware.SavePage(r.Context(), "page state"); err != nil {
			k.t.Error(err)
		}
	})
	k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
		if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
			k.t.Error(err)
		}
	})
	s := k.provider(provider)
	login := "/auth/" + provider + "/login?return_to=/whoami"
	back := "/auth/" + provider + "/callback"
	start := func() string { return j.send("start", http.MethodGet, login, nil).Header.Get("Location") }

	j.send("chooser", http.MethodGet, "/auth/login", nil)
	j.send("not found", http.MethodGet, "/auth/nothing/here", nil)
	j.send("method", http.MethodPut, "/auth/logout", nil)
	j.send("gate", http.MethodGet, "/more/1", nil)
	j.send("note", http.MethodGet, "/note", nil)
	j.send("no state", http.MethodGet, back+"?code=some-secret-code", nil)
	j.send("state of nobody", http.MethodGet, back+"?code=some-secret-code&state="+strings.Repeat("made-up-", 9), nil)
	j.send("malformed", http.MethodGet, back+"?code=some-secret-code&state=%zz", nil)
	j.send("denied", http.MethodGet, j.approve(start(), false), nil)
	for _, row := range []struct {
		what     string
		behavior providertest.Behavior
	}{
		{"token endpoint fails", providertest.Behavior{Token: providertest.Fail(400, "invalid_grant")}},
		{"token endpoint is down", providertest.Behavior{Token: providertest.Respond(503, "text/html", "down")}},
		{"token is no token", providertest.Behavior{Fields: providertest.Without("access_token")}},
		{"answer refused", providertest.Behavior{Answer: func(q url.Values) { q.Set("iss", "https://other.example") }}},
	} {
		to := start()
		s.SetBehavior(row.behavior)
		j.send(row.what, http.MethodGet, j.approve(to, true), nil)
		s.SetBehavior(providertest.Behavior{})
	}
	good := j.approve(start(), true)
	j.send("other door", http.MethodGet, strings.Replace(good, "/"+provider+"/", "/"+other+"/", 1), nil)
	j.send("signed in", http.MethodGet, good, nil)
	j.send("reload", http.MethodGet, good, nil)
	j.send("page", http.MethodGet, "/whoami", nil)
	j.send("astray", http.MethodGet, back+"?code=some-secret-code&state="+strings.Repeat("made-up-", 9), nil)
	j.send("step-up denied", http.MethodGet, j.approve(j.send("gate", http.MethodGet, "/more/2", nil).Header.Get("Location"), false), nil)
	j.send("gate again", http.MethodGet, "/more/2", nil)
	j.send("stepped up", http.MethodGet, j.approve(j.send("step-up", http.MethodGet, "/more/3", nil).Header.Get("Location"), true), nil)
	j.send("gate to connect", http.MethodGet, "/other", nil)
	link := url.Values{"purpose": {"link"}, "return_to": {"/whoami"}}
	j.send("linked", http.MethodGet, j.approve(j.send("link", http.MethodPost, "/auth/"+other+"/login", link).Header.Get("Location"), true), nil)
	j.send("renewed", http.MethodGet, "/renew", nil)
	j.send("status", http.MethodGet, "/auth/status", nil)
	j.send("sign out?", http.MethodGet, "/auth/logout", nil)
	j.send("signed out", http.MethodPost, "/auth/logout", url.Values{"return_to": {"/"}})
	j.send("reload, signed out", http.MethodGet, good, nil)
	return j
}

// send makes a request with the browser's cookies, and keeps those of the answer.
func (j *journey) send(what, method, target string, form url.Values) *http.Response {
	j.k.t.Helper()
	if !strings.HasPrefix(target, j.base) {
		target = j.base + target
	}
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", j.base)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Accept", "text/html")
	for _, c := range j.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	resp := j.k.serve(r)
	j.jar.SetCookies(r.URL, resp.Cookies())
	j.seen = append(j.seen, step{what, told(r), strings.HasPrefix(r.URL.Path, "/auth/"), resp})
	return resp
}

// approve does the person's part, whatever it is.
func (j *journey) approve(authURL string, allow bool) string {
	j.k.t.Helper()
	person := j.k.at(authURL).Approve
	if !allow {
		person = j.k.at(authURL).Deny
	}
	callback, err := person(context.Background(), j.idp, authURL, "ada")
	if err != nil {
		j.k.t.Fatalf("%q: %v", authURL, err)
	}
	return callback
}
