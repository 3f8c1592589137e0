package providertest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// serveToken is the token endpoint: RFC 6749, section 3.2.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	f := r.PostForm
	if name, twice := repeated(f); twice {
		refuse(w, r, http.StatusBadRequest, "invalid_request", name+" is there twice")
		return
	}
	client, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	switch f.Get("grant_type") {
	case "authorization_code":
		s.redeem(w, r, client)
	case "refresh_token":
		s.renew(w, r, client)
	case "":
		refuse(w, r, http.StatusBadRequest, "invalid_request", "grant_type is missing")
	default:
		refuse(w, r, http.StatusBadRequest, "unsupported_grant_type", "")
	}
}

// redeem trades a code for tokens: RFC 6749, section 4.1.3.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request, client Client) {
	f := r.PostForm
	sent := f.Get("code")
	s.mu.Lock()
	b, now := s.behavior, s.now()
	c, ok := s.codes.find(now, sent)
	line := s.ledger.code(sent)
	if line != nil {
		line.Sent++
	}
	var why string
	switch {
	case !ok || c.ended:
		why = "the code is unknown, or has expired"
	case c.client.ID != client.ID:
		why = "the code was issued to another client"
	case c.used:
		// "If an authorization code is used more than once, the authorization server MUST deny
		// the request and SHOULD revoke […] all tokens previously issued based on that
		// authorization code." RFC 6749, section 4.1.2.
		s.end(c.grant)
		why = "the code was used before"
	case f.Get("redirect_uri") != c.redirect:
		why = "redirect_uri is not the one of the authorization request"
	case !b.IgnorePKCE && !verifies(c.challenge, f.Get("code_verifier")):
		why = "code_verifier does not match code_challenge"
	}
	if why != "" {
		s.mu.Unlock()
		refuse(w, r, http.StatusBadRequest, "invalid_grant", why)
		return
	}
	c.used = true
	if line != nil {
		line.Redeemed++
	}
	a := s.issueAccess(c.grant, c.scopes, or(b.AccessTTL, s.cfg.AccessTTL))
	rt := s.issueRefresh(c.grant)
	s.mu.Unlock()

	s.answerTokens(w, b, "authorization_code", a, rt)
}

// renew trades a refresh token: RFC 6749, section 6; RFC 9700, section 4.14.2.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, client Client) {
	f := r.PostForm
	sent := f.Get("refresh_token")
	s.mu.Lock()
	b, now := s.behavior, s.now()
	t, ok := s.refresh.find(now, sent)
	line := s.ledger.token(sent)
	if line != nil {
		line.Sent++
	}
	var why string
	switch {
	case !ok || t.ended:
		why = "the refresh token is unknown, has expired, or was revoked"
	case t.client.ID != client.ID:
		why = "the refresh token was issued to another client"
	case t.used && (b.Rotation != RotateGrace || now.Sub(t.usedAt) > or(b.Grace, time.Minute)):
		s.end(t.grant)
		why = "the refresh token was used before"
	}
	scopes, within := t.narrow(f.Get("scope"))
	if why == "" && !within {
		s.mu.Unlock()
		refuse(w, r, http.StatusBadRequest, "invalid_scope", "more than was granted")
		return
	}
	if why != "" {
		s.mu.Unlock()
		refuse(w, r, http.StatusBadRequest, "invalid_grant", why)
		return
	}
	a := s.issueAccess(t.grant, scopes, or(b.AccessTTL, s.cfg.AccessTTL))
	rt := ""
	if b.Rotation != RotateNone {
		if !t.used {
			t.used, t.usedAt = true, now
		}
		if line != nil {
			line.Rotated++
		}
		rt = s.issueRefresh(t.grant)
	}
	s.mu.Unlock()

	s.answerTokens(w, b, "refresh_token", a, rt)
}

// narrow returns the scopes of a refresh: those asked for, which must have been granted.
func (t *refresh) narrow(scope string) (scopes []string, within bool) {
	if t == nil || scope == "" {
		if t == nil {
			return nil, true
		}
		return t.scopes, true
	}
	scopes = strings.Fields(scope)
	for _, sc := range scopes {
		if !slices.Contains(t.scopes, sc) {
			return nil, false
		}
	}
	return scopes, true
}

func (s *Server) answerTokens(w http.ResponseWriter, b Behavior, grantType string, a *access, rt string) {
	d := &Draft{
		GrantType: grantType, Client: a.client, Account: a.account, Scopes: a.scopes,
		Access: a.token, Nonce: a.nonce, server: s,
	}
	m := map[string]any{
		"access_token": a.token,
		"token_type":   "Bearer",
		"expires_in":   int64(or(b.AccessTTL, s.cfg.AccessTTL) / time.Second),
		"scope":        strings.Join(a.scopes, " "),
	}
	if rt != "" {
		m["refresh_token"] = rt
	}
	if slices.Contains(a.scopes, "openid") {
		m["id_token"] = s.idToken(b, d, a.grant)
	}
	if b.Fields != nil {
		b.Fields(d, m)
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, m)
}

// verifies checks PKCE: RFC 7636, section 4.6.
func verifies(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(b64(sum[:])), []byte(challenge)) == 1
}

// authenticate finds out which client sends a request: RFC 6749, section 2.3. If it cannot, it answers.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (Client, bool) {
	id, secret, method, ok := credentials(r)
	client, known := s.cfg.client(id)
	switch {
	case method == "several":
		refuse(w, r, http.StatusBadRequest, "invalid_request", "more than one way of client authentication")
		return Client{}, false
	case !ok || !known, subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1, !client.accepts(method):
		if method == "client_secret_basic" {
			w.Header().Set("WWW-Authenticate", `Basic realm="practice"`)
		}
		refuse(w, r, http.StatusUnauthorized, "invalid_client", "")
		return Client{}, false
	}
	return client, true
}

func (c Client) accepts(method string) bool {
	if c.Auth != "" {
		return method == c.Auth
	}
	return (method == "none") == (c.Secret == "")
}

// credentials reads client id and secret. "The client identifier is encoded using the
// application/x-www-form-urlencoded encoding algorithm […] and the encoded value is used as the
// username; the client password is encoded using the same algorithm and used as the password."
// RFC 6749, section 2.3.1.
func credentials(r *http.Request) (id, secret, method string, ok bool) {
	_, inForm := r.PostForm["client_secret"]
	formID := r.PostForm.Get("client_id")
	header := r.Header.Get("Authorization")
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		if inForm {
			return formID, r.PostForm.Get("client_secret"), "client_secret_post", true
		}
		if formID != "" {
			return formID, "", "none", true
		}
		return "", "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(rest)
	user, pass, colon := strings.Cut(string(raw), ":")
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(pass)
	if inForm {
		return id, "", "several", false
	}
	if formID != "" && formID != id {
		return id, "", "several", false
	}
	return id, secret, "client_secret_basic", err == nil && err1 == nil && err2 == nil && colon
}

// repeated finds a parameter that is there twice: RFC 6749, section 3.1 and 3.2.
func repeated(v url.Values) (name string, twice bool) {
	for k, vs := range v {
		if len(vs) > 1 && k != "resource" && k != "audience" {
			return k, true
		}
	}
	return "", false
}

// allow answers 405 to other methods.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) || r.Method == http.MethodHead && slices.Contains(methods, http.MethodGet) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// refuse answers with an error of RFC 6749, section 5.2.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, description string) {
	note(r, code)
	m := map[string]any{"error": code}
	if description != "" {
		m["error_description"] = description
	}
	writeJSON(w, status, m)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("providertest: json: " + err.Error()) // a behavior put something in that JSON cannot hold
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client's loss
}
