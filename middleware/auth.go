package middleware

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/background"
	"github.com/returnleg/returnleg/internal/check"
	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/eventlog"
	"github.com/returnleg/returnleg/internal/guest"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// An Auth signs people in, for one app. It is safe for concurrent use. Make it with [New].
type Auth struct {
	env         *env.Env
	app         *web.App
	connections *connection.Connections
	accounts    *account.Accounts
	sessions    *session.Sessions

	names []string // in the order of Config

	ownManager bool // made by us: nobody has wrapped anything in its LoadAndSave

	signins     *signin.SignIns
	errorPage   func(http.ResponseWriter, *http.Request, *Problem)
	sessionFree func(*http.Request) bool
	device      func(*http.Request) string
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
	ring := cfg.Keys
	if ring == nil {
		ring = sessionstore.NewKeyring()
	}
	shared := &env.Env{
		Site:       env.NewSite(cfg.site(base)),
		Ring:       keys.New(ring, cfg.site(base)),
		Clock:      time.Now,
		Random:     rand.Reader,
		Background: &background.Group{},
	}
	shared.Log = &eventlog.Log{Logger: cfg.logger(), Explain: web.Loopback(base.Hostname()), Now: func() time.Time { return shared.Clock() }}
	a := &Auth{
		env: shared,
		app: &web.App{
			URL:    base,
			Origin: web.Origin(base),
			Prefix: cfg.prefix(),
			Home:   cfg.home(),
			Local:  web.Loopback(base.Hostname()),
		},
		ownManager:  cfg.Sessions == nil,
		errorPage:   cfg.ErrorPage,
		sessionFree: cfg.SessionFree,
		device:      cfg.Device,
	}
	manager := cfg.sessions()
	a.sessions = &session.Sessions{
		Env:           shared,
		Manager:       manager,
		Former:        (*session.Former)(cfg.Former),
		AnonymousIdle: cfg.anonymousIdle(),
		Guests:        guest.New(cfg.maxGuests(), session.GuestIdle(cfg.anonymousIdle(), manager.IdleTimeout)),
		Readable:      account.Readable,
	}
	a.accounts = &account.Accounts{Env: shared, Sessions: a.sessions}
	a.sessions.Index = a.accounts
	a.connections = connection.New(shared, a.sessions, a.accounts, cfg.Providers, cfg.httpClient())
	if cfg.OnToken != nil {
		a.connections.OnChange = func(ctx context.Context, c *connection.Change) {
			cfg.OnToken(ctx, &TokenChange{Account: (*Account)(c.Account), Provider: c.Provider, Label: c.Label, Token: c.Token})
		}
	}
	a.signins = signin.New(shared, a.app, a.sessions, a.accounts, a.connections, cfg.Providers)
	a.signins.OnLogin = a.admit(cfg.OnLogin)
	a.signins.Tell, a.signins.Knows = a.tellFailure, knows
	for _, p := range cfg.Providers {
		a.names = append(a.names, p.Name())
	}
	a.sessions.Guests.Unread = a.env.Log.Unread
	a.warn(&cfg)
	a.env.Store = a.sealed(cfg.Store, ring)
	a.app.Cookies = web.NewCookies(base, a.app.Prefix, cfg.CookieName, manager.Cookie.SameSite, manager.Cookie.Persist)
	if err := a.sessions.Adopt(); err != nil {
		return nil, err
	}
	a.announce()
	return a, nil
}

// warn tells the log what in cfg may not be meant.
func (a *Auth) warn(cfg *Config) {
	if s, ok := cfg.Store.(sessionstore.SingleProcess); ok && s.SingleProcess() {
		a.env.Log.Event(context.Background(), slog.LevelWarn, "this store is for one process only: two would lose each other's changes", "")
	}
	if what := check.Forgetful(cfg.Store, cfg.Keys != nil, a.app.Local); what != "" {
		a.env.Log.Event(context.Background(), slog.LevelWarn, what, "")
	}
	for _, p := range cfg.Providers {
		if c, ok := p.(providers.PublicClient); ok && c.PublicClient() {
			a.env.Log.Event(context.Background(), slog.LevelInfo, "public client: it has no secret, and proves by PKCE alone that a code is its own", "", slog.String("provider", p.Name()))
		}
	}
}

// Format writes the origin, for every verb: the rest is keys.
func (a *Auth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "Auth("+a.app.Origin+")") }

// Sessions returns the scs manager through which handlers read and write the session of their
// request: the one in [Config].Sessions, or ours.
func (a *Auth) Sessions() *scs.SessionManager { return a.sessions.Manager }

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
		if ctx.Value(a.sessions.ManagerKey) != nil {
			a.refuse(w, r, problem(reason.OuterSession, ErrOuterSession))
			return
		}
		if a.app.WrongLoopbackName(r) {
			a.app.RedirectToBaseURL(w, r)
			return
		}
		q := &request{Context: ctx, auth: a}
		q.writer = web.Writer{ResponseWriter: w, Hook: q, Refusal: ErrNotSaved}
		q.Init(a.sessions, q, q)
		rest, ours := a.app.Below(r.URL.Path)
		if !ours && a.sessionFree != nil && a.sessionFree(r) {
			q.First.Standing = session.Withheld
		} else if sid, secret, ok := a.app.Cookies.Presented(r); ok {
			s, err := a.sessions.Load(ctx, sid, secret)
			if err != nil {
				a.refuse(w, r, problem(reason.Store, err))
				return
			}
			q.First = s
			if s.Standing == session.Absent {
				// It has ended, or the store has lost it, or another one has it. Many at once are a fault.
				a.env.Log.Visitor(ctx, slog.LevelInfo, "session unknown", reason.SessionUnknown)
			}
		}
		q.r = r.WithContext(q)
		q.reloaded = a.app.Reloaded(w.Header(), r)
		if a.sessions.Former != nil {
			q.FormerToken = a.sessions.Former.Token(r)
		}
		if err := q.TakeOverFormer(); err != nil {
			a.refuse(w, r, problem(reason.Store, err))
			return
		}
		if !ours || "/"+rest == freshPath {
			q.refresh(w.Header())
		}
		if ours {
			q.serve(w, rest)
			return
		}
		if provider, ok := a.stray(r); ok {
			q.serveStray(next, provider)
		} else {
			next.ServeHTTP(&q.writer, q.r)
		}
		q.writer.Finish()
	})
}

// Close waits until the callbacks and refreshes under way have saved what they got, and lets no new
// ones begin: those are answered with 503 and [ReasonClosing]. If ctx ends first, its error is
// returned, and they go on. Call it after the server's Shutdown, and before the store is closed.
func (a *Auth) Close(ctx context.Context) error {
	defer a.env.Log.Flush()
	return a.env.Background.Wait(ctx)
}

// sealed returns the store to use for s, which may be nil. A value that never leaves the process is no safer for
// being sealed with a key beside it.
func (a *Auth) sealed(s sessionstore.Store, ring sessionstore.Keyring) sessionstore.Store {
	if s == nil {
		return &sessionstore.Memory{}
	}
	if memory, ok := s.(*sessionstore.Memory); ok {
		return memory
	}
	sealed := sessionstore.Sealed(s, ring)
	sealed.Unopened = func(k sessionstore.Key, field string, err error) {
		a.env.Log.Visitor(context.Background(), slog.LevelWarn, "value not opened", reason.Unsealed,
			slog.String("kind", k.Kind), slog.String("field", field), slog.Any("error", err))
	}
	return sealed
}

// announce tells the log what has to be registered with each provider.
func (a *Auth) announce() {
	for _, name := range a.names {
		a.env.Log.Event(context.Background(), slog.LevelInfo, "provider configured", "", slog.String("provider", name), slog.String("redirect_uri", a.app.RedirectURI(name)))
	}
}

// dropForeign removes the cookie that an inner LoadAndSave of the app's manager adds: the session has ours.
func (a *Auth) dropForeign(h http.Header) {
	if !a.ownManager {
		web.DropCookie(h, a.sessions.Manager.Cookie.Name)
	}
}
