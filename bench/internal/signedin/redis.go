package signedin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/redisserver"
	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	ourstore "github.com/returnleg/returnleg/sessionstore/redisstore"
)

// Idle is the idle timeout of the contenders that have one: long, so that only the first of their
// requests may touch the session.
const Idle = 20 * time.Minute

// A Deed is one thing that is done with a session in Redis.
type Deed struct {
	Name string
	Do   func() error
}

// Case returns the deed as a case to measure.
func (d *Deed) Case() measure.Case {
	return measure.Case{Name: d.Name, Run: func(n int, m *measure.Meter) error {
		m.Start()
		defer m.Stop()
		for range n {
			if err := d.Do(); err != nil {
				return err
			}
		}
		return nil
	}}
}

// A Redis is a server with one pool of connections, which all deeds share.
type Redis struct {
	server *redisserver.Server
	pool   *redis.Pool
	keys   sessionstore.Keyring
}

// StartRedis starts a server of the benchmark's own. The error wraps exec.ErrNotFound if there is
// no redis-server.
func StartRedis() (*Redis, error) {
	server, err := redisserver.Start()
	if err != nil {
		return nil, err
	}
	pool, err := ourstore.NewPool(ourstore.Server{URL: server.URL()})
	if err != nil {
		server.Close()
		return nil, err
	}
	return &Redis{server: server, pool: pool, keys: sessionstore.NewKeyring()}, nil
}

// Close ends the server.
func (x *Redis) Close() {
	x.pool.Close()
	x.server.Close()
}

// Pool returns the pool that all deeds share.
func (x *Redis) Pool() *redis.Pool { return x.pool }

// Calls returns the commands that the server executes for each time that d is done, on average.
func (x *Redis) Calls(d *Deed, times int) (map[string]float64, error) {
	calls, err := x.server.Calls(func() error {
		for range times {
			if err := d.Do(); err != nil {
				return err
			}
		}
		return nil
	})
	each := make(map[string]float64, len(calls))
	for name, n := range calls {
		each[name] = float64(n) / float64(times)
	}
	return each, err
}

// Touches sends requests for one idle timeout, as fast as they are answered. It returns how many
// there were, and how often one of them prolonged the session.
func (x *Redis) Touches(idle time.Duration) (requests, touches int, err error) {
	app, err := x.ours("touched:", idle)
	if err != nil {
		return 0, 0, err
	}
	d := app.reads()
	calls, err := x.server.Calls(func() error {
		for end := time.Now().Add(idle); time.Now().Before(end); requests++ {
			if err := d.Do(); err != nil {
				return err
			}
		}
		return nil
	})
	return requests, calls["EVALSHA"] + calls["EVAL"], err
}

// Reads returns what a request may do that changes nothing. The first is a bare GET of as many
// bytes as the session of the others has, through the same pool.
func (x *Redis) Reads() ([]*Deed, error) {
	plain, err := x.ours("plain:", 0)
	if err != nil {
		return nil, err
	}
	idle, err := x.ours("idle:", Idle)
	if err != nil {
		return nil, err
	}
	scsPlain, err := x.scs("scs:plain:", 0)
	if err != nil {
		return nil, err
	}
	scsIdle, err := x.scs("scs:idle:", 0)
	if err != nil {
		return nil, err
	}
	scsIdle.sessions.IdleTimeout = Idle
	scsIdle.name += idleTimeout
	loads, err := x.loads(plain.store)
	if err != nil {
		return nil, err
	}
	return append(loads,
		plain.deed("session untouched", noContent),
		plain.deed("User read", func(w http.ResponseWriter, r *http.Request) {
			acc, err := middleware.User(r.Context())
			answer(w, err == nil && acc.Identity.Name == "Ada Lovelace")
		}),
		plain.reads(), idle.reads(), scsPlain.reads(), scsIdle.reads()), nil
}

// VisitorWrites returns a request that changes one of ten values, scs's first. Nobody is signed in:
// the data is the same on both sides.
func (x *Redis) VisitorWrites() ([]*Deed, error) {
	peer, err := x.scs("scs:visitor:", 0)
	if err != nil {
		return nil, err
	}
	own, auth, _, err := x.build("visitor:", 0)
	if err != nil {
		return nil, err
	}
	own.name += " of a visitor"
	own.cookie, err = filled(auth.Sessions(), own.around)
	return []*Deed{peer.writes(), own.writes()}, err
}

// MemberWrites returns the same with a person signed in. In scs's session, where an app would keep
// the like, is a string as long as the rest of our record: account, grant, and what sealing adds.
func (x *Redis) MemberWrites() ([]*Deed, error) {
	own, err := x.ours("member:", 0)
	if err != nil {
		return nil, err
	}
	_, record, err := x.session(own.store)
	if err != nil {
		return nil, err
	}
	login := record.Size()
	Fill(1, func(key, value string) { login -= len(key) + len(value) })
	peer, err := x.scs("scs:member:", login)
	if err != nil {
		return nil, err
	}
	peer.name += fmt.Sprintf(" with %d bytes more", login)
	return []*Deed{peer.writes(), own.writes()}, nil
}

// session returns the one session that is in store, as Redis has it.
func (x *Redis) session(store *ourstore.Store) (sessionstore.Key, sessionstore.Record, error) {
	names, err := redis.Strings(x.server.Do("KEYS", store.Prefix+"session:*"))
	if err != nil {
		return sessionstore.Key{}, sessionstore.Record{}, err
	}
	if len(names) != 1 {
		return sessionstore.Key{}, sessionstore.Record{}, fmt.Errorf("signedin: %d sessions in Redis, want 1", len(names))
	}
	key := sessionstore.Key{Kind: "session", ID: strings.TrimPrefix(names[0], store.Prefix+"session:")}
	record, err := store.Load(context.Background(), key)
	return key, record, err
}

// loads returns a GET, and the store's own work, on the one session that is in store.
func (x *Redis) loads(store *ourstore.Store) ([]*Deed, error) {
	ctx := context.Background()
	key, record, err := x.session(store)
	if err != nil {
		return nil, err
	}
	blob := record.Pack()
	if _, err := x.server.Do("SET", "blob", blob); err != nil {
		return nil, err
	}
	sealed := sessionstore.Sealed(store, x.keys)
	get := func() error {
		c, err := x.pool.GetContext(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := redis.Bytes(redis.DoWithTimeout(c, time.Second, "GET", "blob"))
		if err == nil && len(got) != len(blob) {
			err = errors.New("signedin: GET: another length")
		}
		return err
	}
	empty := &app{name: "bare", around: func(h http.Handler) http.Handler { return h }}
	return []*Deed{
		{fmt.Sprintf("GET of the same %d bytes", len(blob)), get},
		empty.deed("a handler that does the same GET", func(w http.ResponseWriter, _ *http.Request) { answer(w, get() == nil) }),
		{"Load, plain", func() error { return look(store, key, 1) }},
		{"Load, sealed, one value opened", func() error { return look(sealed, key, 1) }},
		{"Load, sealed, eleven values opened", func() error { return look(sealed, key, valueCount+1) }},
	}, nil
}

// look loads a record and takes so many values from it.
func look(store sessionstore.Store, k sessionstore.Key, values int) error {
	r, err := store.Load(context.Background(), k)
	if err != nil {
		return err
	}
	for range r.All() {
		if values--; values == 0 {
			return nil
		}
	}
	return fmt.Errorf("signedin: %d values fewer than wanted", values)
}

// An app has one session in Redis, and handlers that may use it.
type app struct {
	name     string
	sessions *scs.SessionManager
	around   func(http.Handler) http.Handler
	cookie   string
	store    *ourstore.Store // ours only
}

const idleTimeout = ", idle timeout"

// ours returns our app, signed in, with ten values and one grant, sealed.
func (x *Redis) ours(prefix string, idle time.Duration) (*app, error) {
	a, auth, idp, err := x.build(prefix, idle)
	if err != nil {
		return nil, err
	}
	a.cookie, err = signIn(auth, idp)
	return a, err
}

// build returns our app without a session.
func (x *Redis) build(prefix string, idle time.Duration) (*app, *middleware.Auth, *providertest.Server, error) {
	a := &app{name: "returnleg", sessions: scs.New(), store: ourstore.New(x.pool)}
	a.store.Prefix = prefix
	a.sessions.IdleTimeout = idle
	if idle != 0 {
		a.name += idleTimeout
	}
	idp := providertest.New(providertest.Config{})
	auth, err := middleware.New(middleware.Config{
		BaseURL:    visit.Site,
		Providers:  []providers.Provider{idp.OIDC("idp")},
		Store:      a.store,
		Keys:       x.keys,
		Sessions:   a.sessions,
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: idp.Client(),
	})
	if err != nil {
		return nil, nil, nil, err
	}
	a.around = auth.Handler
	return a, auth, idp, nil
}

// scs returns an app on scs and its redisstore, through our pool, with ten values, and one more of
// that many bytes if there are any.
func (x *Redis) scs(prefix string, more int) (*app, error) {
	sessions := scs.New()
	sessions.Store = redisstore.NewWithPrefix(x.pool, prefix)
	cookie, err := filled(sessions, func(h http.Handler) http.Handler {
		return sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if more > 0 {
				sessions.Put(r.Context(), "login", strings.Repeat("l", more))
			}
			h.ServeHTTP(w, r)
		}))
	})
	return &app{name: "scs + redisstore", sessions: sessions, around: sessions.LoadAndSave, cookie: cookie}, err
}

// filled returns the cookie of a browser that has got the ten values.
func filled(sessions *scs.SessionManager, around func(http.Handler) http.Handler) (cookie string, err error) {
	var b visit.Browser
	a, err := b.Open(around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fill(1, func(key, value string) { sessions.Put(r.Context(), key, value) })
		answer(w, true)
	})), "/fill")
	if err == nil && (a.Status() != http.StatusNoContent || b.Line() == "") {
		err = fmt.Errorf("signedin: filled with status %d", a.Status())
	}
	return b.Line(), err
}

// deed returns a request to the app with this handler.
func (a *app) deed(what string, h http.HandlerFunc) *Deed {
	c := &Contender{Name: a.name + ", " + what, Handler: a.around(h), Cookie: a.cookie}
	return &Deed{Name: c.Name, Do: func() error {
		if got := c.Serve(); got != http.StatusNoContent {
			return fmt.Errorf("signedin: %s: status %d, want 204", c.Name, got)
		}
		return nil
	}}
}

func (a *app) reads() *Deed {
	return a.deed("one of ten scs keys read", func(w http.ResponseWriter, r *http.Request) {
		answer(w, a.sessions.GetString(r.Context(), read) != "")
	})
}

func (a *app) writes() *Deed {
	next := alternate()
	return a.deed("one of ten scs keys written", func(w http.ResponseWriter, r *http.Request) {
		a.sessions.Put(r.Context(), written, next())
		answer(w, true)
	})
}
