package middleware_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// beside returns another process of k's app: the same keys, store and providers, and nothing else.
func (k *kit) beside(change ...func(*kit, *middleware.Config)) *kit {
	k.t.Helper()
	o := newKit(k.t, append([]func(*kit, *middleware.Config){func(o *kit, c *middleware.Config) {
		o.idp, o.plain, o.log = k.idp, k.plain, k.log
		c.Providers = []providers.Provider{k.idp.OIDC("idp"), k.plain.OAuth2("plain")}
		c.Store, c.Keys = k.store, shared
	}}, change...)...)
	return o
}

// shared is the key ring of kits that stand for processes of one app.
var shared = sessionstore.NewKeyring()

// unlogged keeps no log.
func unlogged(_ *kit, c *middleware.Config) { c.Logger = quiet() }

func withShared(_ *kit, c *middleware.Config) { c.Keys = shared }

// asked is what a request's handler got from Token.
type asked struct {
	access string
	err    error
}

// token is a request to k by b whose handler asks for the provider's token. Bubbles of synctest run
// it in the caller's goroutine.
func (k *kit) token(b *browser, provider string) asked {
	var a asked
	k.within(b, func(ctx context.Context) {
		t, err := middleware.Token(ctx, provider)
		if a.err = err; err == nil {
			a.access = t.Access
		}
	})
	return a
}

// within runs f as the handler of a request of b to k. It keeps no cookie.
func (k *kit) within(b *browser, f func(ctx context.Context)) {
	h := k.auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) }))
	h.ServeHTTP(httptest.NewRecorder(), b.request(http.MethodGet, "/", nil))
}

// refreshes returns how many refreshes the provider saw, and fails the test if one came with a token
// that had been rotated.
func (k *kit) refreshes(s *providertest.Server) int {
	k.t.Helper()
	l := s.Ledger()
	if reused := l.Reused(); len(reused) > 0 || l.FamiliesRevoked > 0 {
		k.t.Errorf("%d refresh tokens were sent again, %d families revoked", len(reused), l.FamiliesRevoked)
	}
	return len(l.Refreshes())
}

// slowRefresh makes refreshes take d.
func slowRefresh(d time.Duration) func(*providertest.Behavior) {
	return func(b *providertest.Behavior) {
		b.Token = providertest.When(providertest.Grant("refresh_token"), providertest.Delay(d))
	}
}

// 111, 112, FAULTS F24, F33: one refresh, however many ask, in however many processes, however slow the
// provider is, and nobody waits for much longer than it takes.
func TestRefresh_storm(t *testing.T) {
	rows := []struct {
		name     string
		kits     int
		sessions int
		requests int // of each session, at each kit
		slow     time.Duration
		linger   time.Duration // the provider rotates first, and answers later
	}{
		{"111 1000 requests, one session", 1, 1, 1000, 50 * time.Millisecond, 0},
		{"112 1000 requests at two processes", 2, 1, 500, 50 * time.Millisecond, 0},
		{"112 a provider slower than the mark", 2, 1, 500, 15 * time.Second, 0},
		{"112 rotated at once, answered after the mark's time", 2, 1, 500, 0, 15 * time.Second},
		{"F24 500 sessions at two processes", 2, 500, 5, 50 * time.Millisecond, 0},
		{"F33 5000 requests, one session", 1, 1, 5000, 50 * time.Millisecond, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				patient := func(k *kit, c *middleware.Config) {
					p := k.plain.OAuth2("plain")
					p.Timeout = time.Minute
					c.Providers[1] = p
				}
				one := newKit(t, withShared, unlogged, patient)
				kits := []*kit{one}
				for len(kits) < row.kits {
					kits = append(kits, one.beside(unlogged, patient))
				}
				browsers := make([]*browser, row.sessions)
				old := map[string]bool{}
				for i := range browsers {
					browsers[i] = one.browser()
					browsers[i].signIn("plain", "ada", "/")
					old[one.token(browsers[i], "").access] = true
				}
				time.Sleep(time.Hour + time.Second)
				one.plain.Set(slowRefresh(row.slow))
				if row.linger > 0 {
					one.plain.Set(func(b *providertest.Behavior) {
						b.Token = providertest.When(providertest.Grant("refresh_token"), providertest.Linger(row.linger))
					})
				}
				var mu sync.Mutex
				var took []time.Duration
				given := make([]map[string]bool, row.sessions)
				for i := range given {
					given[i] = map[string]bool{}
				}
				together(row.sessions*row.requests*row.kits, func(n int) {
					i := n % row.sessions
					began := time.Now()
					got := kits[n/row.sessions%row.kits].token(browsers[i], "plain")
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(began))
					if got.err != nil || old[got.access] {
						t.Errorf("session %d: error %v, the old token: %v", i, got.err, old[got.access])
					}
					given[i][got.access] = true
				})
				if got := one.refreshes(one.plain); got != row.sessions {
					t.Errorf("%d refreshes, want %d", got, row.sessions)
				}
				for i, m := range given {
					if len(m) != 1 {
						t.Errorf("session %d got %d tokens, want 1", i, len(m))
					}
				}
				slices.Sort(took)
				p99 := took[len(took)*99/100] - row.slow - row.linger
				most := 20 * time.Millisecond
				if row.slow+row.linger > time.Second {
					most = 100 * time.Millisecond
				}
				if p99 > most && row.sessions == 1 || p99 > 250*time.Millisecond {
					t.Errorf("p99 is the provider's time and %v", p99)
				}
				t.Logf("%d requests, %d refreshes, p99 the provider's time and %v", len(took), row.sessions, p99)
			})
		})
	}
}

// 115 and the like: what a provider may answer, and what comes of it.
func TestRefresh_answers(t *testing.T) {
	unavailable, reauth := providers.ErrUnavailable, middleware.ErrReauthRequired
	rows := []struct {
		name    string
		at      string // provider
		answer  providertest.Fault
		change  func(*providertest.Behavior)
		want    error
		sent    int   // refreshes, with three requests for the token
		next    error // once the provider answers as it should, a minute later
		session bool  // still signed in
	}{
		{"a good one", "plain", nil, nil, nil, 1, nil, true},
		{"115 invalid_grant", "plain", providertest.Fail(400, "invalid_grant"), nil, reauth, 1, reauth, true},
		{"115 invalid_client", "plain", providertest.Fail(401, "invalid_client"), nil, unavailable, 1, nil, true},
		{"115 unauthorized_client", "plain", providertest.Fail(400, "unauthorized_client"), nil, unavailable, 1, nil, true},
		{"another refusal", "plain", providertest.Fail(400, "invalid_request"), nil, unavailable, 1, nil, true},
		{"116 503 that mentions invalid_grant", "plain", providertest.Respond(503, "text/html", "invalid_grant"), nil, unavailable, 3, nil, true},
		{"116 500 with an error of the protocol", "plain", providertest.Fail(500, "invalid_grant"), nil, unavailable, 3, nil, true},
		{"116 a page that mentions it", "plain", providertest.Respond(200, "text/html", "invalid_grant"), nil, unavailable, 3, nil, true},
		{"F22 429", "plain", providertest.Respond(429, "text/plain", "", "Retry-After", "30"), nil, unavailable, 1, nil, true},
		{"a redirect", "plain", providertest.Redirect(302, ""), nil, unavailable, 3, nil, true},
		{"cut off before", "plain", providertest.Reset, nil, unavailable, 2, nil, true},
		{"118 bad signature", "idp", nil, func(b *providertest.Behavior) { b.IDToken = providertest.Flipped }, reauth, 1, reauth, true},
		{"118 other aud", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.With("aud", "other") }, reauth, 1, reauth, true},
		{"118 other iss", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.With("iss", "https://other.example") }, middleware.ErrSignedOut, 1, middleware.ErrSignedOut, false},
		{"118 no iss", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.Without("iss") }, reauth, 1, reauth, true},
		{"118 other sub", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.With("sub", "other") }, middleware.ErrSignedOut, 1, middleware.ErrSignedOut, false},
		{"118 other nonce", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.With("nonce", "other") }, reauth, 1, reauth, true},
		{"118 older", "idp", nil, func(b *providertest.Behavior) { b.Claims = providertest.With("iat", 1) }, reauth, 1, reauth, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					p := k.provider(row.at)
					b := k.browser()
					b.signIn(row.at, "ada", "/")
					cookie := b.session()
					time.Sleep(time.Hour)
					p.Set(func(b *providertest.Behavior) {
						if row.answer != nil {
							b.Token = row.answer
						}
						if row.change != nil {
							row.change(b)
						}
					})
					for range 3 {
						if got := k.token(b, row.at); !errors.Is(got.err, row.want) {
							t.Errorf("error %v, want %v", got.err, row.want)
						}
					}
					if got := len(p.Ledger().Refreshes()); got != row.sent {
						t.Errorf("%d refreshes, want %d", got, row.sent)
					}
					p.SetBehavior(providertest.Behavior{})
					time.Sleep(time.Minute + time.Second)
					if got := k.token(b, row.at); !errors.Is(got.err, row.next) {
						t.Errorf("later: error %v, want %v", got.err, row.next)
					}
					if got := k.refreshes(p); row.next == nil && row.want != nil && got != row.sent+1 {
						t.Errorf("%d refreshes in all, want %d", got, row.sent+1)
					}
					if signedIn := b.whoami() == ada; signedIn != row.session {
						t.Errorf("signed in: %v, want %v", signedIn, row.session)
					}
					if row.session && b.session() != cookie { // 122
						t.Error("a refresh changed the cookie")
					}
				})
			})
		})
	}
}

// FAULTS F20: a provider that takes its time to fail is not asked again while somebody waits.
func TestRefresh_slowFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		k.plain.Set(func(b *providertest.Behavior) {
			b.Token = func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
				time.Sleep(5 * time.Second)
				providertest.Respond(503, "text/plain", "")(w, r, nil)
			}
		})
		began := time.Now()
		if got := k.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) || time.Since(began) != 5*time.Second {
			t.Errorf("error %v after %v, want it after 5s", got.err, time.Since(began))
		}
	})
}

// A provider that nobody could connect to has seen no token: it is asked again at once. Whoever has may
// have traded it: it is sent once more, and then a minute later.
func TestRefresh_noConnection(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		sent int // requests
	}{
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 3},
		{"no such name", &net.DNSError{Name: "plain.example", IsNotFound: true}, 3},
		{"another's certificate", &tls.CertificateVerificationError{Err: errors.New("x509")}, 3},
		{"cut off", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, 2},
		{"cut off in its answer", nil, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool
				var sent atomic.Int64
				k := newKit(t, func(k *kit, c *middleware.Config) {
					c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						if !down.Load() {
							return k.RoundTrip(r)
						}
						sent.Add(1)
						if row.err != nil {
							return nil, row.err
						}
						return &http.Response{
							StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
							Body: io.NopCloser(iotest.ErrReader(syscall.ECONNRESET)),
						}, nil
					})}
				})
				b := k.browser()
				b.signIn("plain", "ada", "/")
				time.Sleep(time.Hour)
				down.Store(true)
				if got := k.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) || int(sent.Load()) != row.sent {
					t.Errorf("error %v after %d requests, want %d", got.err, sent.Load(), row.sent)
				}
				down.Store(false)
				time.Sleep(2 * time.Second)
				if got := k.token(b, ""); (got.err == nil) != (row.sent == 3) {
					t.Errorf("two seconds later: %v", got.err)
				}
			})
		})
	}
}

// 118 of an account that was linked: the connection is over, and whoever is signed in by another one stays.
func TestRefresh_linkedForeign(t *testing.T) {
	for _, claim := range []string{"iss", "sub"} {
		t.Run(claim, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				b := k.browser()
				b.signIn("plain", "ada", "/")
				b.link("idp", "", "grace")
				time.Sleep(time.Hour)
				k.idp.Set(func(b *providertest.Behavior) { b.Claims = providertest.With(claim, "https://other.example") })
				if got := k.token(b, "idp"); !errors.Is(got.err, middleware.ErrReauthRequired) {
					t.Errorf("error %v", got.err)
				}
				b.is(ada)
				if got := k.token(b, "plain"); got.err != nil {
					t.Errorf("the other connection: %v", got.err)
				}
			})
		})
	}
}

// 113: what an answer leaves out stays, what it takes away is noted, what it adds was never granted.
func TestRefresh_scopes(t *testing.T) {
	rows := []struct {
		name   string
		fields func(*providertest.Draft, map[string]any)
		scopes string
		reused bool // the refresh token stays
	}{
		{"113 without refresh_token", providertest.Without("refresh_token"), "[videos]", true},
		{"113 with a new one", nil, "[videos]", false},
		{"113 without scope", providertest.Without("scope"), "[videos]", false},
		{"113 narrower", providertest.With("scope", "other"), "[]", false},
		{"113 wider", providertest.With("scope", "videos upload"), "[videos]", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				b := k.browser()
				b.signIn("plain", "ada", "/")
				time.Sleep(time.Hour)
				k.plain.Set(func(b *providertest.Behavior) {
					b.Rotation = providertest.RotateNone
					if !row.reused {
						b.Rotation = providertest.RotateStrict
					}
					if row.fields != nil {
						b.Fields = providertest.OnRefresh(row.fields)
					}
				})
				for range 2 {
					k.within(b, func(ctx context.Context) {
						tok, err := middleware.Token(ctx, "")
						if err != nil {
							t.Error(err)
							return
						}
						if got := fmt.Sprint(tok.Scopes); got != row.scopes {
							t.Errorf("scopes %s, want %s", got, row.scopes)
						}
					})
					time.Sleep(time.Hour)
				}
				l := k.plain.Ledger().Refreshes()
				if len(l) != 2 {
					t.Fatalf("%d refreshes, want 2", len(l))
				}
				if same := l[0].Form.Get("refresh_token") == l[1].Form.Get("refresh_token"); same != row.reused {
					t.Errorf("the same refresh token was sent: %v, want %v", same, row.reused)
				}
			})
		})
	}
}

// A token is renewed before its end, while requests go on with the one that is there.
func TestRefresh_ahead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		first := k.token(b, "").access
		time.Sleep(time.Hour - 77*time.Second)
		if got := k.token(b, ""); got.access != first || k.refreshes(k.plain) != 0 {
			t.Errorf("%d refreshes 77 s before the end, want 0; error %v", k.refreshes(k.plain), got.err)
		}
		k.plain.Set(slowRefresh(5 * time.Second))
		time.Sleep(17 * time.Second)
		began := time.Now()
		if got := k.token(b, ""); got.access != first || time.Since(began) != 0 {
			t.Errorf("a request waited for %v while the token was good, error %v", time.Since(began), got.err)
		}
		time.Sleep(6 * time.Second)
		if got := k.token(b, ""); got.access == first || got.err != nil {
			t.Errorf("the old token after the refresh, error %v", got.err)
		}
		if got := k.refreshes(k.plain); got != 1 {
			t.Errorf("%d refreshes, want 1", got)
		}
	})
}

// FAULTS F20, F21: while a token is good, a provider that is down takes nothing away; then it is 503,
// one probe a second, and all is well once it is back.
func TestRefresh_providerDown(t *testing.T) {
	rows := []struct {
		name  string
		fault providertest.Fault
		most  int // refreshes in the minute, beside those that were under way
	}{
		{"F20 503", providertest.Respond(503, "text/html", "down"), 61},
		{"F20 500", providertest.Fail(500, "server_error"), 61},
		{"F20 503 that takes a second", belated(time.Second, providertest.Respond(503, "text/html", "down")), 61},
		{"F21 blackhole", providertest.Hang, 61},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, unlogged)
				browsers := make([]*browser, 20)
				for i := range browsers {
					browsers[i] = k.browser()
					browsers[i].signIn("plain", "ada", "/")
				}
				k.plain.Set(func(b *providertest.Behavior) { b.Token = row.fault })
				time.Sleep(time.Hour - 45*time.Second)
				for _, b := range browsers {
					if got := k.token(b, ""); got.err != nil {
						t.Errorf("a good token: error %v", got.err)
					}
				}
				time.Sleep(46 * time.Second)
				under := k.plain.Count("token")
				until := time.Now().Add(time.Minute)
				var mu sync.Mutex
				var slowest time.Duration
				for time.Now().Before(until) {
					together(len(browsers), func(i int) {
						began := time.Now()
						got := k.token(browsers[i], "")
						if !errors.Is(got.err, providers.ErrUnavailable) || errors.Is(got.err, middleware.ErrReauthRequired) {
							t.Errorf("error %v, want unavailable", got.err)
						}
						mu.Lock()
						defer mu.Unlock()
						slowest = max(slowest, time.Since(began))
					})
					time.Sleep(100 * time.Millisecond)
				}
				if slowest > 10*time.Second+500*time.Millisecond {
					t.Errorf("a request took %v", slowest)
				}
				if got := k.plain.Count("token") - under; got > row.most+len(browsers) {
					t.Errorf("%d requests in a minute", got)
				}
				k.plain.SetBehavior(providertest.Behavior{})
				time.Sleep(time.Minute)
				for _, b := range browsers {
					if got := k.token(b, ""); got.err != nil {
						t.Errorf("once it is back: error %v", got.err)
					}
				}
				if n := k.refreshes(k.plain); n == 0 {
					t.Error("no refresh")
				}
			})
		})
	}
}

// belated has f wait.
func belated(d time.Duration, f providertest.Fault) providertest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		time.Sleep(d)
		f(w, r, next)
	}
}

// FAULTS F22: of two answers that say when to ask again, the later time counts, whichever comes last.
func TestRefresh_retryAfterTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		browsers := []*browser{k.browser(), k.browser()}
		for _, b := range browsers {
			b.signIn("plain", "ada", "/")
		}
		time.Sleep(time.Hour)
		k.plain.Set(func(b *providertest.Behavior) {
			first := providertest.Respond(429, "text/plain", "", "Retry-After", "60")
			second := belated(time.Second, providertest.Respond(429, "text/plain", "", "Retry-After", "2"))
			asked := providertest.First(1, first)
			b.Token = func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
				time.Sleep(time.Second) // until both are there
				asked(w, r, func(w http.ResponseWriter, r *http.Request) { second(w, r, nil) })
			}
		})
		for range 30 {
			together(len(browsers), func(i int) {
				if got := k.token(browsers[i], ""); !errors.Is(got.err, providers.ErrUnavailable) {
					t.Errorf("error %v", got.err)
				}
			})
			time.Sleep(time.Second)
		}
		if got := k.refreshes(k.plain); got != 2 {
			t.Errorf("%d requests within half a minute, want 2", got)
		}
	})
}

// FAULTS F22: Retry-After is obeyed, up to five minutes.
func TestRefresh_retryAfter(t *testing.T) {
	for after, want := range map[string]time.Duration{"30": 30 * time.Second, "3600": 5 * time.Minute} {
		t.Run(after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				one, two := k.browser(), k.browser()
				one.signIn("plain", "ada", "/")
				two.signIn("plain", "grace", "/")
				time.Sleep(time.Hour)
				k.plain.Set(func(b *providertest.Behavior) {
					b.Token = providertest.First(1, providertest.Respond(429, "text/plain", "", "Retry-After", after))
				})
				began := time.Now()
				for time.Since(began) < want-time.Second {
					for _, b := range []*browser{one, two} {
						if got := k.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) {
							t.Fatalf("after %v: error %v, want unavailable", time.Since(began), got.err)
						}
					}
					time.Sleep(time.Second)
				}
				if got := k.refreshes(k.plain); got != 1 {
					t.Errorf("%d requests within %v, want 1", got, want)
				}
				time.Sleep(2 * time.Second)
				for _, b := range []*browser{one, two} {
					if got := k.token(b, ""); got.err != nil {
						t.Errorf("afterwards: %v", got.err)
					}
				}
			})
		})
	}
}
