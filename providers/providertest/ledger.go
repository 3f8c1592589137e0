package providertest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A Ledger is what the provider saw and did, oldest first. It holds secrets: it is for assertions.
// Of requests, codes and refresh tokens it keeps the latest, [Config].Limit each: where one more comes the
// older half goes. The counts are exact.
type Ledger struct {
	Requests []Request
	Codes    []Code
	Refresh  []Refresh

	Issued          int // access tokens
	Revoked         int // access and refresh tokens that were revoked one by one, by the client
	FamiliesRevoked int // grants that ended because a code or a refresh token was used again

	counts map[string]int
	limit  int
	first  int // number of Requests[0]
}

// A Request is one request as it arrived, and how it was answered.
type Request struct {
	At       time.Time
	Endpoint string // "discovery", "jwks", "authorize", "consent", "token", "userinfo", "revoke", "introspect", "api", "page", "elsewhere" or "other"
	Method   string
	URL      string // path and query
	Host     string
	Header   http.Header
	Query    url.Values
	Form     url.Values // of the body
	Auth     string     // client authentication: "client_secret_basic", "client_secret_post", "none", "several" or ""
	Client   string     // client_id, whether or not it is known

	Status int    // 0: still under way, or the connection was cut
	Error  string // error code of the answer
}

// A Code is an authorization code.
type Code struct {
	Code     string
	Client   string
	Account  string
	Issued   time.Time
	Sent     int // requests with this code
	Redeemed int // times that tokens were issued for it
}

// A Refresh is a refresh token.
type Refresh struct {
	Token   string
	Client  string
	Account string
	Issued  time.Time
	Sent    int // requests with this token
	Rotated int // times that it was traded for another one
}

// Ledger returns a copy of the ledger as it is now.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.ledger
	l.Requests, l.Codes, l.Refresh = slices.Clone(l.Requests), slices.Clone(l.Codes), slices.Clone(l.Refresh)
	l.counts = maps.Clone(l.counts)
	return l
}

// Count returns how many requests came to an endpoint, such as "token". It copies no ledger: call it as
// often as you like.
func (s *Server) Count(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.counts[endpoint]
}

// ResetLedger begins a new ledger. Codes and tokens stay valid; those issued before are no longer counted.
func (s *Server) ResetLedger() {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.ledger.first + len(s.ledger.Requests)
	s.ledger = Ledger{first: next}
	s.ledger.init(s.cfg.Limit)
}

// Count returns how many requests came to an endpoint, such as "token".
func (l Ledger) Count(endpoint string) int { return l.counts[endpoint] }

// Of returns the requests to an endpoint.
func (l Ledger) Of(endpoint string) []Request {
	var of []Request
	for _, r := range l.Requests {
		if r.Endpoint == endpoint {
			of = append(of, r)
		}
	}
	return of
}

// Redeems returns the token requests that carried a code.
func (l Ledger) Redeems() []Request { return l.grants("authorization_code") }

// Refreshes returns the token requests that carried a refresh token.
func (l Ledger) Refreshes() []Request { return l.grants("refresh_token") }

func (l Ledger) grants(grantType string) []Request {
	of := l.Of("token")
	return slices.DeleteFunc(of, func(r Request) bool { return r.Form.Get("grant_type") != grantType })
}

// Repeated returns the codes that were sent more than once.
func (l Ledger) Repeated() []Code {
	return slices.DeleteFunc(slices.Clone(l.Codes), func(c Code) bool { return c.Sent < 2 })
}

// Reused returns the refresh tokens that were sent again after they had been rotated.
func (l Ledger) Reused() []Refresh {
	return slices.DeleteFunc(slices.Clone(l.Refresh), func(r Refresh) bool { return r.Rotated == 0 || r.Sent < 2 })
}

func (l *Ledger) init(limit int) { l.counts, l.limit = map[string]int{}, limit }

func (s *Server) record(endpoint string, r *http.Request) int {
	id, _, method, _ := credentials(r)
	e := Request{
		At: s.now(), Endpoint: endpoint, Method: r.Method, URL: r.URL.RequestURI(), Host: r.Host,
		Header: r.Header.Clone(), Query: r.URL.Query(), Form: r.PostForm, Auth: method, Client: id,
	}
	if endpoint == "authorize" {
		e.Client, e.Auth = e.Query.Get("client_id"), ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.ledger
	l.counts[endpoint]++
	if len(l.Requests) >= l.limit {
		l.Requests, l.first = drop(l.Requests), l.first+len(l.Requests)/2
	}
	l.Requests = append(l.Requests, e)
	return l.first + len(l.Requests) - 1
}

// drop returns the newer half, in memory of its own: dropping is then rare, and frees what it drops.
func drop[T any](s []T) []T { return slices.Clone(s[len(s)/2:]) }

func (s *Server) finish(entry int, w *recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := entry - s.ledger.first; i >= 0 && i < len(s.ledger.Requests) {
		s.ledger.Requests[i].Status, s.ledger.Requests[i].Error = w.status, w.err
	}
}

func (l *Ledger) addCode(c Code) {
	if len(l.Codes) >= l.limit {
		l.Codes = drop(l.Codes)
	}
	l.Codes = append(l.Codes, c)
}

func (l *Ledger) addRefresh(r Refresh) {
	if len(l.Refresh) >= l.limit {
		l.Refresh = drop(l.Refresh)
	}
	l.Refresh = append(l.Refresh, r)
}

// code finds the newest entry of a code; nil if it is not kept.
func (l *Ledger) code(c string) *Code {
	for i := len(l.Codes) - 1; i >= 0; i-- {
		if l.Codes[i].Code == c {
			return &l.Codes[i]
		}
	}
	return nil
}

func (l *Ledger) token(t string) *Refresh {
	for i := len(l.Refresh) - 1; i >= 0; i-- {
		if l.Refresh[i].Token == t {
			return &l.Refresh[i]
		}
	}
	return nil
}
