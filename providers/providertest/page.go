package providertest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"sync"
)

//go:embed page/practice.css
var style []byte

//go:embed page/icon.svg
var icon []byte

//go:embed page/pages.html
var pageText string

// submitScript posts the form of a form_post answer. It is the only script here, and its hash is
// the only one that the policy allows.
const submitScript = `document.forms[0].submit()`

// pages are parsed once in a process, when a page is first shown.
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"initial": initial}).Parse(pageText))
})

// A view is what a page is drawn from.
type view struct {
	Provider string
	Base     string
	Title    string
	Text     string

	App      string
	Origin   string // where the app is
	Request  string // query of the authorization request
	Hint     string
	ACR      string
	People   []Account
	Here     string // name of who is remembered in this browser
	Account  Account
	Scopes   []scopeLine
	Action   string
	Change   string // where to pick another account
	Fields   url.Values
	Script   template.JS
	Requests []Request
}

type scopeLine struct {
	Name, Text string
	Fixed      bool // cannot be left out
}

func (s *Server) show(w http.ResponseWriter, status int, page string, v view) {
	v.Provider, v.Base = s.cfg.Name, s.base
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, page, v); err != nil {
		panic("providertest: page " + page + ": " + err.Error()) // templates and views are both ours
	}
	script := "'none'"
	if page == "form-post" {
		sum := sha256.Sum256([]byte(submitScript))
		script = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// No form-action: it would also stop the redirect to the app that answers the consent form.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; script-src "+script)
	// The origin stays: form_post answers say where they come from, as other providers' do.
	h.Set("Referrer-Policy", "strict-origin")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the person's loss
}

func (s *Server) showSignIn(w http.ResponseWriter, _ *http.Request, q *authRequest, here *session) {
	v := view{
		Title: "Who are you today?", App: q.client.name(), Origin: originOf(q.redirect),
		Request: q.raw, People: s.cfg.Accounts, Here: here.name(), ACR: q.level(),
	}
	if a, ok := s.cfg.account(q.hint); ok {
		v.Hint = a.ID
	}
	s.show(w, http.StatusOK, "sign-in", v)
}

func (s *Server) showConsent(w http.ResponseWriter, _ *http.Request, q *authRequest, a Account) {
	v := view{
		Title: q.client.name() + " asks for access", App: q.client.name(), Origin: originOf(q.redirect),
		Request: q.raw, Account: a, ACR: q.level(), Action: s.base + "/consent?" + consentQuery(q.raw, a.ID),
		Change: s.base + "/consent?" + url.Values{"request": {q.raw}}.Encode(),
	}
	for _, sc := range q.scopes {
		v.Scopes = append(v.Scopes, scopeLine{sc, or(scopeText[sc], sc), sc == "openid"})
	}
	s.show(w, http.StatusOK, "consent", v)
}

// showFormPost answers by OAuth 2.0 Form Post Response Mode.
func (s *Server) showFormPost(w http.ResponseWriter, _ *http.Request, q *authRequest, fields url.Values) {
	s.show(w, http.StatusOK, "form-post", view{
		Title: "Back to " + q.client.name(), App: q.client.name(), Action: q.redirect, Fields: fields,
		Script: submitScript,
	})
}

func (s *Server) showError(w http.ResponseWriter, _ *http.Request, status int, title, text string) {
	s.show(w, status, "error", view{Title: title, Text: text})
}

// serveHome tells who is remembered here, and what apps have asked lately.
func (s *Server) serveHome(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	var last []Request
	l := s.Ledger()
	for i := len(l.Requests) - 1; i >= 0 && len(last) < 25; i-- {
		if e := l.Requests[i].Endpoint; e != "page" && e != "other" {
			last = append(last, l.Requests[i])
		}
	}
	s.show(w, http.StatusOK, "home", view{Title: "Be anybody", Here: s.session(r).name(), People: s.cfg.Accounts, Requests: last})
}

func (s *Server) serveSignOut(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		s.showError(w, r, http.StatusForbidden, "This request came from another site", "")
		return
	}
	s.forget(w, r)
	http.Redirect(w, r, s.base+"/", http.StatusSeeOther)
}

func (s *Server) serveStyle(w http.ResponseWriter, _ *http.Request) {
	serveAsset(w, "text/css; charset=utf-8", style)
}

func (s *Server) serveIcon(w http.ResponseWriter, _ *http.Request) {
	serveAsset(w, "image/svg+xml", icon)
}

func serveAsset(w http.ResponseWriter, contentType string, b []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(b) // the person's loss
}

// initial is the letter that stands for a person.
func initial(name string) string {
	for _, r := range name {
		return string(r)
	}
	return "?"
}

func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
