package providertest

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A Server is an identity provider and the API behind it. It is an http.Handler and safe for
// concurrent use. It starts no goroutine and needs no end; one that listens is [NewServer]'s.
type Server struct {
	cfg  Config
	base string // path of the issuer, without a slash at its end
	mux  *http.ServeMux
	away string // see Elsewhere

	mu       sync.Mutex // guards all below
	behavior Behavior
	auto     string // account that is signed in everywhere
	autoAt   time.Time
	keys     []*key // the last one signs
	made     int    // RSA keys taken from the shared ones
	codes    table[*code]
	access   table[*access]
	refresh  table[*refresh]
	sessions table[*session]
	ledger   Ledger
}

var _ http.Handler = (*Server)(nil)

// TB is the part of testing.TB that [NewServer] needs; a program that uses this package links no
// package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New returns a provider that its caller serves at cfg.Issuer, or reaches without sockets through
// [Server.Client]. Inside a testing/synctest bubble, call it inside the bubble. It panics if
// cfg.Issuer is no http or https URL, or cfg.Algorithm is unknown.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		panic("providertest: issuer is not an http or https URL without query and fragment")
	}
	if !knownAlgorithm(cfg.Algorithm) {
		panic("providertest: unknown algorithm " + cfg.Algorithm)
	}
	s := &Server{
		cfg:      cfg,
		base:     strings.TrimSuffix(u.Path, "/"),
		away:     "https://elsewhere.example/elsewhere",
		behavior: cfg.Behavior,
		codes:    table[*code]{max: cfg.Limit},
		access:   table[*access]{max: cfg.Limit},
		refresh:  table[*refresh]{max: cfg.Limit},
		sessions: table[*session]{max: cfg.Limit},
	}
	s.ledger.init(cfg.Limit)
	s.routes()
	return s
}

// NewServer returns a provider that listens on loopback until t ends. At most one Config may be given.
func NewServer(t TB, cfg ...Config) *Server {
	t.Helper()
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("providertest: listen: %v", err)
		return nil
	}
	if !strings.Contains(c.Issuer, "://") {
		c.Issuer = "http://" + l.Addr().String() + c.Issuer
	}
	s := New(c)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s.away = "http://localhost:" + port + "/elsewhere"
	hs := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = hs.Serve(l) // ends with ErrServerClosed
	}()
	t.Cleanup(func() {
		_ = hs.Close()
		<-ended
	})
	return s
}

// Issuer returns the issuer identifier.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// URL returns the URL of a path of the provider, such as "/token" or "/me/videos".
func (s *Server) URL(path string) string { return strings.TrimSuffix(s.cfg.Issuer, "/") + path }

// Elsewhere returns a URL at another host. What is sent there is in the ledger under "elsewhere":
// redirect an endpoint to it, and look whether a secret follows.
func (s *Server) Elsewhere() string { return s.away }

// ServeHTTP answers one request and writes it into the ledger.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// routes mounts the endpoints. RFC 8414, section 3.1 puts its well-known path in front of the
// issuer's path, OpenID Connect Discovery 1.0, section 4 behind it.
func (s *Server) routes() {
	s.mux = http.NewServeMux()
	for _, e := range []struct {
		name, path string
		serve      http.HandlerFunc
	}{
		{"discovery", s.base + "/.well-known/openid-configuration", s.serveMetadata},
		{"discovery", "/.well-known/oauth-authorization-server" + s.base, s.serveMetadata},
		{"jwks", s.base + "/jwks", s.serveJWKS},
		{"authorize", s.base + "/authorize", s.serveAuthorize},
		{"consent", s.base + "/consent", s.serveConsent},
		{"token", s.base + "/token", s.serveToken},
		{"userinfo", s.base + "/userinfo", s.serveUserInfo},
		{"revoke", s.base + "/revoke", s.serveRevoke},
		{"introspect", s.base + "/introspect", s.serveIntrospect},
		{"api", s.base + "/me", s.serveMe},
		{"api", s.base + "/me/videos", s.serveVideos},
		{"api", s.base + "/me/videos/{id}", s.serveVideo},
		{"api", s.base + "/me/videos/{id}/file", s.serveFile},
		{"page", s.base + "/videos/{id}/picture.svg", s.servePicture},
		{"page", s.base + "/{$}", s.serveHome},
		{"page", s.base + "/sign-out", s.serveSignOut},
		{"page", s.base + "/practice.css", s.serveStyle},
		{"page", s.base + "/icon.svg", s.serveIcon},
		{"elsewhere", "/elsewhere", http.NotFound},
		{"other", "/", http.NotFound},
	} {
		s.mux.Handle(e.path, s.endpoint(e.name, e.serve))
	}
}

const bodyLimit = 1 << 20

// endpoint reads the request whole, records it, and lets the behavior have its way.
func (s *Server) endpoint(name string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil {
			http.Error(w, "request body", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var form url.Values
		if mt, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mt == "application/x-www-form-urlencoded" {
			if form, err = url.ParseQuery(string(body)); err != nil {
				http.Error(w, "form", http.StatusBadRequest)
				return
			}
		}
		r.PostForm = form

		entry := s.record(name, r)
		rw := &recorder{ResponseWriter: w, server: s}
		r = r.WithContext(context.WithValue(r.Context(), recorderKey{}, rw))
		defer func() { s.finish(entry, rw) }()

		if fault := s.Behavior().fault(name); fault != nil {
			fault(rw, r, next)
			return
		}
		next(rw, r)
	})
}

func (s *Server) now() time.Time { return s.cfg.Now() }

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	server *Server
	status int
	err    string // protocol error that the endpoint answered with
}

type recorderKey struct{}

// note writes a protocol error into the ledger, beside the request that it answers.
func note(r *http.Request, code string) {
	if w, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		w.err = code
	}
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
