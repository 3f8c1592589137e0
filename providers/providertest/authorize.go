package providertest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An authRequest is an authorization request that may be answered to its client.
type authRequest struct {
	raw       string // the query as it came
	client    Client
	redirect  string
	state     string
	hasState  bool
	mode      string // "query" or "form_post"
	scopes    []string
	nonce     string
	challenge string
	prompt    []string
	maxAge    int // seconds; -1: not asked
	hint      string
	acr       []string
}

// A refusal is why an authorization request cannot be granted.
type refusal struct {
	code, description string
	local             bool // nobody can be told but the person: there is no redirect URI to trust
}

// readRequest judges an authorization request: RFC 6749, section 4.1.1. "If the request fails due
// to a missing, invalid, or mismatching redirection URI, or if the client identifier is missing or
// invalid, the authorization server SHOULD inform the resource owner of the error and MUST NOT
// automatically redirect the user-agent to the invalid redirection URI": section 4.1.2.1.
func (s *Server) readRequest(rawQuery string, b Behavior) (*authRequest, *refusal) {
	v, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, &refusal{"invalid_request", "the query is malformed", true}
	}
	if len(v["client_id"]) > 1 || len(v["redirect_uri"]) > 1 {
		return nil, &refusal{"invalid_request", "client_id or redirect_uri is there twice", true}
	}
	client, ok := s.cfg.client(v.Get("client_id"))
	if !ok {
		return nil, &refusal{"invalid_request", "client_id names no app that is registered here", true}
	}
	redirect := v.Get("redirect_uri")
	if redirect == "" || !client.redirectAllowed(redirect) {
		return nil, &refusal{"invalid_request", "redirect_uri is not one that " + client.name() + " has registered", true}
	}
	q := &authRequest{
		raw: rawQuery, client: client, redirect: redirect, mode: "query", maxAge: -1,
		state: v.Get("state"), hasState: v.Has("state"), scopes: strings.Fields(v.Get("scope")),
		nonce: v.Get("nonce"), challenge: v.Get("code_challenge"), prompt: strings.Fields(v.Get("prompt")),
		hint: v.Get("login_hint"), acr: strings.Fields(v.Get("acr_values")),
	}
	if v.Get("response_mode") == "form_post" {
		q.mode = "form_post"
	}
	return q, q.judge(v, b)
}

// judge finds what the client is told about.
func (q *authRequest) judge(v url.Values, b Behavior) *refusal {
	if name, twice := repeated(v); twice {
		return &refusal{code: "invalid_request", description: name + " is there twice"}
	}
	switch m := v.Get("response_mode"); m {
	case "", "query", "form_post":
	default:
		return &refusal{code: "invalid_request", description: "response_mode is not supported"}
	}
	if v.Has("request") {
		return &refusal{code: "request_not_supported"}
	}
	if v.Has("request_uri") {
		return &refusal{code: "request_uri_not_supported"}
	}
	switch v.Get("response_type") {
	case "code":
	case "":
		return &refusal{code: "invalid_request", description: "response_type is missing"}
	default:
		return &refusal{code: "unsupported_response_type"}
	}
	if !b.IgnorePKCE && (v.Get("code_challenge_method") != "S256" || len(q.challenge) != 43) {
		return &refusal{code: "invalid_request", description: "PKCE with S256 is required"}
	}
	if slices.Contains(q.prompt, "none") && len(q.prompt) > 1 {
		return &refusal{code: "invalid_request", description: "prompt none goes alone"}
	}
	if m := v.Get("max_age"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 0 {
			return &refusal{code: "invalid_request", description: "max_age is not a number of seconds"}
		}
		q.maxAge = n
	}
	return nil
}

func (q *authRequest) asks(prompt string) bool { return slices.Contains(q.prompt, prompt) }

// fresh reports whether a sign-in at that time, at that level, is good enough for q.
func (q *authRequest) fresh(at time.Time, acr string, now time.Time) bool {
	if q.maxAge >= 0 && (q.maxAge == 0 || now.Sub(at) > time.Duration(q.maxAge)*time.Second) {
		return false
	}
	return len(q.acr) == 0 || slices.Contains(q.acr, acr)
}

// serveAuthorize is the authorization endpoint: RFC 6749, section 3.1; OpenID Connect Core 1.0,
// section 3.1.2. A POST has its parameters in the body.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		raw = r.PostForm.Encode()
	}
	b := s.Behavior()
	q, no := s.readRequest(raw, b)
	if no != nil {
		s.decline(w, r, b, q, no)
		return
	}
	if s.silent(w, r, b, q) {
		return
	}
	now := s.now()
	here := s.session(r)
	known := here != nil && !q.asks("login") && !q.asks("select_account") && q.fresh(here.authTime, here.acr, now)
	if known && q.hint != "" {
		a, ok := s.cfg.account(q.hint)
		known = ok && a.ID == here.account.ID
	}
	agreed := known && !q.asks("consent") && s.agreed(here, q)
	switch {
	case agreed:
		s.grant(w, r, b, q, &grant{account: here.account, scopes: q.scopes, authTime: here.authTime, acr: here.acr, sid: here.sid})
	case q.asks("none") && !known:
		s.decline(w, r, b, q, &refusal{code: "login_required"})
	case q.asks("none"):
		s.decline(w, r, b, q, &refusal{code: "consent_required"})
	case known:
		http.Redirect(w, r, s.base+"/consent?"+consentQuery(q.raw, here.account.ID), http.StatusSeeOther)
	default:
		s.showSignIn(w, r, q, here)
	}
}

func (s *Server) agreed(here *session, q *authRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return here.allows(q.client.ID, q.scopes)
}

// silent answers for the account of [Server.SignInAs], whoever asks.
func (s *Server) silent(w http.ResponseWriter, r *http.Request, b Behavior, q *authRequest) bool {
	s.mu.Lock()
	who, at := s.auto, s.autoAt
	s.mu.Unlock()
	a, ok := s.cfg.account(who)
	if !ok {
		return false
	}
	g := &grant{account: a, scopes: q.scopes, authTime: at, sid: "sid-" + a.ID + "-" + strconv.FormatInt(at.UnixNano(), 36)}
	if len(q.acr) > 0 {
		g.acr = q.acr[0]
	}
	if q.asks("login") || !q.fresh(at, "", s.now()) {
		g.authTime = s.now()
	}
	s.grant(w, r, b, q, g)
	return true
}

// grant answers with a code.
func (s *Server) grant(w http.ResponseWriter, r *http.Request, b Behavior, q *authRequest, g *grant) {
	g.client, g.nonce = q.client, q.nonce
	if g.sid == "" {
		g.sid = "sid-" + rand.Text()
	}
	s.mu.Lock()
	c := s.issueCode(g, q)
	s.mu.Unlock()
	s.answer(w, r, b, q, url.Values{"code": {c}})
}

// decline answers with an error: RFC 6749, section 4.1.2.1.
func (s *Server) decline(w http.ResponseWriter, r *http.Request, b Behavior, q *authRequest, no *refusal) {
	note(r, no.code)
	if no.local {
		s.showError(w, r, http.StatusBadRequest, "This request cannot be answered", no.description)
		return
	}
	v := url.Values{"error": {no.code}}
	if no.description != "" {
		v.Set("error_description", no.description)
	}
	s.answer(w, r, b, q, v)
}

// answer sends the browser back to the app.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, b Behavior, q *authRequest, v url.Values) {
	if q.hasState {
		v.Set("state", q.state)
	}
	// "authorization servers supporting this specification MUST indicate their identity by including
	// the iss parameter in the response", errors included: RFC 9207, section 2.
	if !b.OmitIss {
		v.Set("iss", s.cfg.Issuer)
	}
	if b.Answer != nil {
		b.Answer(v)
	}
	w.Header().Set("Cache-Control", "no-store")
	if q.mode == "form_post" {
		s.showFormPost(w, r, q, v)
		return
	}
	to := q.redirect
	if strings.Contains(to, "?") {
		to += "&" + v.Encode()
	} else {
		to += "?" + v.Encode()
	}
	w.Header().Set("Location", to)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

func consentQuery(raw, account string) string {
	return url.Values{"request": {raw}, "account": {account}}.Encode()
}
