package middleware

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/check"
	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Config is what [New] makes an [Auth] of. BaseURL and Providers are needed, the rest has defaults.
type Config struct {
	// BaseURL is the address of the app as browsers see it: scheme and host, such as
	// "https://app.example.com" or, while developing, "http://127.0.0.1:8080". Redirect URIs,
	// cookie attributes and cross-origin checks follow from it; the Host header and
	// X-Forwarded-… decide nothing. (Where it is a name of loopback, a page that is opened at another
	// one, at the same port, is opened here instead.) Plain http is refused for anything but loopback.
	BaseURL string

	// Site names what sessions, accounts and sign-outs belong to, where several share a store and its keys. A
	// session cookie of one site is nobody's at another, somebody who is known at one is new at another,
	// whatever Account.ID they have there, and [Auth.SignOutUser] of one ends no session of another. The
	// default is the origin of BaseURL. An app that moves to another address keeps its people by giving the
	// origin that it had before; two addresses of one app that give the same Site have their people, sessions and
	// sign-outs in common. (The cookies stay with each host, so a person signs in at each.) At most 200
	// printable ASCII characters without spaces.
	//
	// Give it before the first person signs in, or keep it: under another Site everybody is new.
	Site string

	// Providers are the identity providers that people sign in with. Where there are several and
	// nothing says which, the person chooses, on a page that lists them in this order.
	//
	// A person is an issuer and a subject. Several [providers.OIDC] of one issuer share their people, as several
	// registrations of one app do. No others do unless the app says so: of providers that speak no OpenID
	// Connect and share an origin, such as the realms of one server, each needs a
	// [providers.OAuth2].Namespace.
	Providers []providers.Provider

	// Store keeps sessions and accounts. Nil is a [sessionstore.Memory], which is right for one
	// process and forgets everybody when it ends. The log has a warning if Keys or a public
	// BaseURL say that this may not be meant; an app that names a Memory, and no Keys, gets none. What
	// leaves the process is sealed with Keys: hand in the store itself. One of
	// [sessionstore.Sealed] is an error, because everything would be sealed twice.
	Store sessionstore.Store

	// Keys seal what is stored and what travels through the browser. The first key seals, all
	// open; [sessionstore.Keyring] says how to change them. An account is sealed anew by its next
	// sign-in only: if its key is taken away before that, its person is new to the app, see
	// [Login]. Nil makes up a key, and is an error with any store but Memory: the next process
	// could not read what this one wrote.
	Keys sessionstore.Keyring

	// Sessions is the scs manager that the app's handlers call. Nil makes one, see [Auth.Sessions]:
	// sessions of 24 hours without an idle timeout, and a Lax cookie that outlives the browser.
	//
	// New takes it over, before the first request: it replaces Store and Codec, and reads Lifetime,
	// IdleTimeout, Cookie.Persist and Cookie.SameSite. The cookie is ours: a Domain, or a Path other
	// than "/", is an error; Name, Secure and HttpOnly are not used. Remove its LoadAndSave: inside
	// [Auth.Handler] it does nothing more, around it every request is answered with 500 and
	// [ErrOuterSession].
	//
	// Put, Get, Remove, Clear and the like act per key. Token returns the session's id, which
	// opens nothing ("-" while there is none). RenewToken replaces the cookie's secret and keeps
	// the session; Destroy signs out; both take effect when the answer begins, and both in one
	// request sign out. So does a Clear after a RenewToken, which looks like Destroy from here:
	// call Clear first. Pop is Get and Remove; to take a value at most once, use [Take]. MergeSession,
	// Iterate and a Load outside of Handler return [ErrUnsupported].
	Sessions *scs.SessionManager

	// Former is where the app's sessions were before, with LoadAndSave of an scs manager. Each is
	// taken over when its cookie is first seen. Nil: there were none, or people start anew.
	Former *Former

	// OnLogin is called when somebody has proved who they are, before they are signed in; not for a
	// step-up or for one more connection, by which the person stays who they are. It
	// may set Account.ID to the app's own user id. An error of [Refuse], or a [*Problem], refuses: 403. One that
	// wraps [sessionstore.ErrUnavailable], or says that the time is up, is a store that is down: 503. Any other is
	// a fault of the app: 500, at level error. The person starts again in each case, because the provider's code
	// is spent, and a reload says the same. All that it
	// puts into the session is saved with the sign-in, or not at all. The session that it sees is the
	// one that the sign-in ends in, never that of somebody else who was signed in in this browser.
	// Nil lets everybody in.
	//
	// It runs in a goroutine of its own, and its request is answered after three seconds, whatever it is at: a page asks
	// again until it is through. ctx ends with the time of the whole sign-in, 40 seconds, and not with the request. So
	// it has the request's values, but nothing in them that a router or a logger takes back when the handler returns.
	OnLogin func(ctx context.Context, l *Login) error

	// OnToken is called when a token was renewed and saved, and when a provider has ended a
	// connection: for apps that keep a copy, or tell people. Nobody waits for it, its
	// ctx does not end with a request, and it may be called for several sessions at once.
	OnToken func(ctx context.Context, c *TokenChange)

	// Prefix is the path below which the kit answers by itself, see [Auth.Handler]: of letters,
	// digits, - _ and /, without a slash at its end. The default is "/auth". An app below a path of its host,
	// such as /shop, has it there, as in "/shop/auth".
	Prefix string

	// CookieName is the name of the session cookie, of 1 to 32 letters, digits, dots and underscores;
	// with https, "__Host-" stands before it, and a port behind it if BaseURL has one. Other cookies
	// of ours begin like it. The default follows Prefix: "rl" for "/auth", "rl.shop.auth" for
	// "/shop/auth". Set it where two apps at one host have the same Prefix. People who are signed in while it
	// changes have to sign in again.
	CookieName string

	// Home is the path where a sign-in without a return address lands, and a sign-out. The
	// default is "/".
	Home string

	// ErrorPage writes the answer to a page load that cannot be served, in place of the kit's page:
	// a sign-in that went wrong, a store that is down, an error that a handler gave to [Answer].
	// The status to write is p.Status; headers such as Retry-After are set already. Requests that
	// are not page loads get p as a problem document (RFC 9457) and do not come here, nor do the
	// list of providers and the question before a sign-out. When the store is down there is no
	// session: do not ask Sessions here, which panics then.
	ErrorPage func(w http.ResponseWriter, r *http.Request, p *Problem)

	// SessionFree reports that r is served without a session, so that it does not need the
	// store: a health check, a style sheet. Nobody is signed in there, and what a handler
	// writes to the session is not saved: by GET it is ignored, by other methods the answer is 500.
	// Nil: no request is.
	SessionFree func(r *http.Request) bool

	// Device describes where a sign-in comes from, for [Auth.SessionsOf]: the browser's name and
	// the client's address, say. Nil keeps nothing of the kind. At most 256 bytes are kept.
	Device func(r *http.Request) string

	// Logger gets an event for each sign-in, refusal and failure, with a [Reason] and without
	// secrets; docs/operating.md lists them. The default is slog.Default.
	Logger *slog.Logger

	// HTTPClient sends the requests to providers and their APIs. The default is
	// [providers.NewClient]'s. Redirects of token endpoints are never followed, whatever it says. Its
	// Timeout, if it has one, holds for what a [Client] does with a body, too. Plain http goes to loopback
	// alone, and to names below localhost: one that resolves those has to keep them there.
	HTTPClient *http.Client

	// AnonymousIdle is how long the session of somebody who never signed in is kept after its
	// last use, or the IdleTimeout of Sessions where that is shorter. The default is 30 minutes.
	AnonymousIdle time.Duration

	// MaxGuests is how many sessions of people who never signed in there are at most, in all
	// processes that share the store together. Time is cut into windows of 9/8 of AnonymousIdle, and at most
	// half of MaxGuests may begin in one window: with the defaults, 50,000 in 34 minutes. Past that, the answer to
	// a new visitor for whom a handler keeps something (a page state included) is 503, with [ReasonFull] in the
	// log. This ends with the window, or the one after it.
	// Somebody who has a session keeps and uses it, requests that keep nothing are served, and people sign
	// in as ever. It bounds the number of sessions, not their bytes, which are the app's choice.
	// A refusal that comes back to somebody who is not signed in counts as one.
	//
	// Give it and AnonymousIdle the same value everywhere. Where MaxGuests differs the largest one
	// holds; processes whose AnonymousIdle differs count apart. It holds as long as no process's
	// clock is ahead of the store's by more than an eighth of AnonymousIdle. The default is 100,000.
	MaxGuests int
}

const (
	defaultLifetime      = 24 * time.Hour
	defaultAnonymousIdle = 30 * time.Minute
	defaultMaxGuests     = 100_000
)

func (c *Config) prefix() string { return cmp.Or(c.Prefix, web.DefaultPrefix) }

func (c *Config) home() string {
	return returnpath.Encode(cmp.Or(c.Home, "/"))
}

func (c *Config) anonymousIdle() time.Duration { return cmp.Or(c.AnonymousIdle, defaultAnonymousIdle) }

func (c *Config) maxGuests() int { return cmp.Or(c.MaxGuests, defaultMaxGuests) }

func (c *Config) logger() *slog.Logger { return cmp.Or(c.Logger, slog.Default()) }

func (c *Config) httpClient() *http.Client {
	if c.HTTPClient == nil {
		return providers.NewClient()
	}
	return c.HTTPClient
}

// sessions returns the manager to drive. Ours is a literal: scs.New would start a goroutine for a
// store that nobody uses.
func (c *Config) sessions() *scs.SessionManager {
	if c.Sessions != nil {
		return c.Sessions
	}
	return &scs.SessionManager{
		Lifetime: defaultLifetime,
		Cookie:   scs.SessionCookie{Path: "/", Persist: true, SameSite: http.SameSiteLaxMode},
	}
}

// check returns every mistake of c, joined.
func (c *Config) check() (*url.URL, error) {
	base, err := web.CheckBaseURL(c.BaseURL)
	errs := check.Mistakes{err}
	if p := c.prefix(); !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || !check.PlainPath(p) {
		errs.Add("Prefix %q: want a plain path such as /auth", p)
	}
	if c.CookieName != "" && !check.CookieName(c.CookieName) {
		errs.Add("CookieName %q: want 1 to 32 letters, digits, dots and underscores", c.CookieName)
	}
	site := base
	if site == nil {
		site = &url.URL{Scheme: "https", Host: "invalid"} // Home is judged whatever is wrong with BaseURL
	}
	if _, ok := returnpath.Clean(site, c.prefix(), c.home()); !ok {
		errs.Add("Home %q: want a path of this site outside of Prefix", c.home())
	}
	errs = append(errs, check.Site(c.Site)...)
	errs = append(errs, check.Providers(c.Providers)...)
	if c.Store != nil && check.IsNil(c.Store) {
		errs.Add("Store: a %T that is nil", c.Store)
	}
	if _, sealed := c.Store.(*sessionstore.SealedStore); sealed {
		errs.Add("Store: is sealed already, and would be once more with Keys: want the store in it")
	}
	if _, local := c.Store.(*sessionstore.Memory); c.Keys == nil && c.Store != nil && !local {
		errs.Add("Keys: needed with a store that outlives the process")
	}
	if c.Keys != nil {
		errs.Under("Keys", c.Keys.Validate())
	}
	errs = append(errs, check.Sessions(c.Sessions)...)
	errs = append(errs, c.Former.check(base, c.prefix(), c.CookieName))
	if c.AnonymousIdle < 0 || c.AnonymousIdle > account.ForGood {
		errs.Add("AnonymousIdle %v: want 0 to a hundred years", c.AnonymousIdle)
	}
	if c.MaxGuests < 0 {
		errs.Add("MaxGuests %d: want 0 or more", c.MaxGuests)
	}
	return base, errors.Join(errs...)
}

// site returns the name in c, or that of base. A name that is a base URL stands for its origin, however it
// is written.
func (c *Config) site(base *url.URL) string {
	if c.Site == "" {
		return web.Origin(base)
	}
	if u, err := web.CheckBaseURL(c.Site); err == nil {
		return web.Origin(u)
	}
	return c.Site
}
