package middleware

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// An Auth signs people in, for one app. It is safe for concurrent use. Make it with [New].
type Auth struct {
	base       *url.URL
	site       site
	origin     string
	local      bool // BaseURL is loopback
	prefix     string
	home       string
	providers  map[string]providers.Provider
	names      []string // in the order of Config
	namespaces namespaces
	store      sessionstore.Store
	secrets    []secrets
	cookies    cookies

	sessions   *scs.SessionManager
	sessionKey any  // under which the manager looks for its data in a context
	ownManager bool // made by us: nobody has wrapped anything in its LoadAndSave
	former     *Former

	onLogin       func(context.Context, *Login) error
	onToken       func(context.Context, *TokenChange)
	errorPage     func(http.ResponseWriter, *http.Request, *Problem)
	sessionFree   func(*http.Request) bool
	device        func(*http.Request) string
	log           *slog.Logger
	client        *http.Client
	anonymousIdle time.Duration
	tally         *tally
	chores        chores
	lines         allowance

	now     func() time.Time
	random  io.Reader
	stamped atomic.Int64 // see stamp

	flights  flights
	breakers map[string]*breaker // by provider
	queues   map[string]queue    // likewise

	callbacks sync.WaitGroup // redemptions and refreshes under way
	gate      sync.RWMutex   // guards closing, so that nothing is added once Close waits
	closing   bool
}

// New returns the Auth of cfg, or every mistake in it, joined. It sends nothing: a provider that is
// down does not keep the app from starting. The log is told the redirect URI of each provider.
//
// Two apps at one host, such as two ports of it or two paths behind a proxy, get each other's cookies. The
// names of ours follow [Config].Prefix and the port, so that they do not sign each other out: give each app
// a Prefix of its own, below its path, or a [Config].CookieName.
func New(cfg Config) (*Auth, error) {
	base, err := cfg.check()
	if err != nil {
		return nil, err
	}
	keys := cfg.Keys
	if keys == nil {
		keys = sessionstore.NewKeyring()
	}
	a := &Auth{
		base:          base,
		origin:        origin(base),
		site:          newSite(cfg.site(base)),
		local:         loopback(base.Hostname()),
		prefix:        cfg.prefix(),
		home:          cfg.home(),
		providers:     map[string]providers.Provider{},
		breakers:      map[string]*breaker{},
		queues:        map[string]queue{},
		flights:       flights{under: map[flightKey]*flight{}},
		secrets:       newSecrets(keys, cfg.site(base)),
		sessions:      cfg.sessions(),
		ownManager:    cfg.Sessions == nil,
		former:        cfg.Former,
		onLogin:       cfg.OnLogin,
		onToken:       cfg.OnToken,
		errorPage:     cfg.ErrorPage,
		sessionFree:   cfg.SessionFree,
		device:        cfg.Device,
		log:           cfg.logger(),
		client:        cfg.httpClient(),
		anonymousIdle: cfg.anonymousIdle(),
		tally:         newTally(cfg.maxGuests(), guestIdle(cfg.anonymousIdle(), cfg.sessions().IdleTimeout)),
		now:           time.Now,
		random:        rand.Reader,
	}
	for _, p := range cfg.Providers {
		a.providers[p.Name()] = p
		a.names = append(a.names, p.Name())
		a.breakers[p.Name()] = newBreaker(p.Name())
		a.queues[p.Name()] = newQueue()
	}
	a.namespaces = newNamespaces(cfg.Providers)
	a.tally.unread = a.unread
	a.warn(&cfg)
	a.store = a.sealed(cfg.Store, keys)
	a.cookies = newCookies(base, a.prefix, cfg.CookieName, a.sessions.Cookie.SameSite, a.sessions.Cookie.Persist)
	if err := a.adopt(); err != nil {
		return nil, err
	}
	a.announce()
	return a, nil
}

// warn tells the log what in cfg may not be meant.
func (a *Auth) warn(cfg *Config) {
	if s, ok := cfg.Store.(sessionstore.SingleProcess); ok && s.SingleProcess() {
		a.event(context.Background(), slog.LevelWarn, "this store is for one process only: two would lose each other's changes", "")
	}
	if what := cfg.forgetful(a.base); what != "" {
		a.event(context.Background(), slog.LevelWarn, what, "")
	}
	for _, p := range cfg.Providers {
		if c, ok := p.(providers.PublicClient); ok && c.PublicClient() {
			a.event(context.Background(), slog.LevelInfo, "public client: it has no secret, and proves by PKCE alone that a code is its own", "", slog.String("provider", p.Name()))
		}
	}
}

// Format writes the origin, for every verb: the rest is keys.
func (a *Auth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "Auth("+a.origin+")") }

// Sessions returns the scs manager through which handlers read and write the session of their
// request: the one in [Config].Sessions, or ours.
func (a *Auth) Sessions() *scs.SessionManager { return a.sessions }

// Handler wraps the whole app. It loads the session of each request, answers the paths below
// Prefix itself, and saves what the handler changed when the answer begins:
//
//   - {Prefix}/login, a page that lists the providers;
//   - {Prefix}/{provider}/login?return_to=/path, which starts a sign-in;
//   - {Prefix}/{provider}/callback, the redirect URI to register with the provider;
//   - {Prefix}/{provider}/disconnect, which ends a connection by POST, see [Disconnect];
//   - {Prefix}/logout, which signs out by POST, with return_to as a form field;
//   - {Prefix}/fresh?return_to=/path, which gives a browser a new session that never got the cookie of its own;
//   - {Prefix}/status, who is signed in, as JSON, for scripts: see the package's comment.
//
// A request whose session cannot be loaded because the store fails is answered with 503, without
// touching a cookie; one without a session cookie is served.
func (a *Auth) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if q, ok := ctx.Value(requestKey{}).(*request); ok && q.auth == a {
			next.ServeHTTP(w, r) // wrapped twice
			return
		}
		if ctx.Value(a.sessionKey) != nil {
			a.refuse(w, r, problem(ReasonOuterSession, ErrOuterSession))
			return
		}
		if a.misnamed(r) {
			a.toBaseURL(w, r)
			return
		}
		q := &request{Context: ctx, auth: a}
		q.writer = writer{ResponseWriter: w, q: q}
		q.session.Store(&q.first)
		rest, ours := a.below(r.URL.Path)
		if !ours && a.sessionFree != nil && a.sessionFree(r) {
			q.first.standing = withheld
		} else if sid, secret, ok := a.cookies.presented(r); ok {
			s, err := a.load(ctx, sid, secret)
			if err != nil {
				a.refuse(w, r, problem(ReasonStore, err))
				return
			}
			q.first = s
			if s.standing == absent {
				// It has ended, or the store has lost it, or another one has it. Many at once are a fault.
				a.visitorEvent(ctx, slog.LevelInfo, "session unknown", ReasonSessionUnknown)
			}
		}
		q.r = r.WithContext(q)
		q.reloaded = a.reloaded(w.Header(), r)
		if p := q.inherit(w.Header()); p != nil {
			a.refuse(w, r, p)
			return
		}
		if !ours || "/"+rest == freshPath {
			q.refresh(w.Header())
		}
		if ours {
			a.serve(w, q, rest)
			return
		}
		if provider, ok := a.stray(r); ok {
			a.serveStray(next, q, provider)
		} else {
			next.ServeHTTP(&q.writer, q.r)
		}
		q.writer.finish()
	})
}

// below returns what follows the prefix in path.
func (a *Auth) below(path string) (rest string, ok bool) {
	n := len(a.prefix)
	if len(path) <= n || path[:n] != a.prefix || path[n] != '/' {
		return "", false
	}
	return path[n+1:], true
}

// Close waits until the callbacks and refreshes under way have saved what they got, and lets no new
// ones begin: those are answered with 503 and [ReasonClosing]. If ctx ends first, its error is
// returned, and they go on. Call it after the server's Shutdown, and before the store is closed.
func (a *Auth) Close(ctx context.Context) error {
	a.gate.Lock()
	a.closing = true
	a.gate.Unlock()
	defer a.allLeftOut()
	done := make(chan struct{})
	go func() { a.callbacks.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
