// Package tokens_test lets access tokens expire in front of real processes on one real Redis, all at
// once, and kills or pauses whoever renews them. What must hold:
//
//   - a token is renewed once, however many ask for it, in whichever process, and all get the new one;
//   - a refresh token is sent again only if its answer never arrived, and then once;
//   - nobody is signed out but whose provider has ended the grant, and they sign in once;
//   - nobody gets another person's token.
//
// The processes are built without the race detector: there are many of them, and it is the provider
// and the tests that run in this one. RETURNLEG_KILLS (100: 400 kills) in the environment is how many
// processes each row of TestKilled kills.
package tokens_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/integration/internal/child"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/providers/providertest"
)

// program is the app, as TestMain has built it.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they mostly wait
	code, err := build(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// build builds the app for as long as run takes.
func build(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "tokens")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "app")
	if out, err := exec.Command("go", "build", "-o", program, "./app").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build ./app: %w\n%s", err, out)
	}
	return run(), nil
}

// baseURL is where browsers believe the app is. Which process answers there is up to the test.
const baseURL = "http://127.0.0.1:8088"

const callbackURL = baseURL + "/auth/idp/callback"

// A world is what the processes of one app stand on.
type world struct {
	t      *testing.T
	redis  *redistest.Server
	client *http.Client

	environment []string
	approve     func(ctx context.Context, authURL, who string) (callbackURL string, err error)
	subject     func(who string) string // at the provider

	mu      sync.Mutex
	seen    func(when string) // by the watcher
	started int               // processes
}

// newWorld returns a world with that provider, whose other fields are still to be set.
func newWorld(t *testing.T, issuer, client, secret, scopes, prompt string) *world {
	t.Helper()
	w := &world{t: t, redis: redistest.Start(t)}
	var key [32]byte
	_, _ = rand.Read(key[:])
	watcher := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		seen := w.seen
		w.mu.Unlock()
		if seen != nil {
			seen(r.FormValue("when"))
		}
	}))
	t.Cleanup(watcher.Close)
	w.environment = []string{
		"PATH=" + os.Getenv("PATH"), "BASE_URL=" + baseURL, "REDIS=" + w.redis.URL(),
		"KEYS=" + base64.StdEncoding.EncodeToString(key[:]),
		"ISSUER=" + issuer, "CLIENT_ID=" + client, "CLIENT_SECRET=" + secret, "SCOPES=" + scopes, "PROMPT=" + prompt, "WATCHER=" + watcher.URL,
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1 << 16}
	w.client = &http.Client{
		Transport: transport, Timeout: 2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return w
}

// A practice is a world whose provider is ours, and strict.
type practice struct {
	*world
	idp *providertest.Server
}

func newPractice(t *testing.T) *practice {
	t.Helper()
	var accounts []providertest.Account
	for i := range people {
		accounts = append(accounts, providertest.Account{ID: person(i), Name: person(i)})
	}
	idp := providertest.NewServer(t, providertest.Config{Accounts: accounts, Algorithm: "ES256", CodeTTL: time.Hour})
	w := newWorld(t, idp.Issuer(), providertest.ClientID, providertest.ClientSecret, "openid profile", "")
	browsers := map[string]*http.Client{} // in which the provider remembers the person: the second time is quick
	for _, a := range accounts {
		browsers[a.ID] = idp.Client()
	}
	w.approve = func(ctx context.Context, authURL, who string) (string, error) {
		return idp.ApproveAndRemember(ctx, browsers[who], authURL, who)
	}
	w.subject = func(who string) string { return "practice-" + who }
	return &practice{w, idp}
}

const people = 20

// person returns one of a few people, who have many sessions each.
func person(i int) string { return "person" + string(rune('a'+i%people)) } // oidc-provider wants letters

// A process is one of the app's.
type process struct {
	*child.Process
	addr string
	name string // as its requests for tokens have it in the parameter process
}

// spawn starts a process. Only a watched one tells the watcher what it writes.
func (w *world) spawn(watched bool) *process {
	w.t.Helper()
	w.mu.Lock()
	w.started++
	name := strconv.Itoa(w.started)
	w.mu.Unlock()
	cmd := exec.Command(program)
	cmd.Env = append(slices.Clone(w.environment), "PROCESS="+name)
	if !watched {
		cmd.Env = append(cmd.Env, "WATCHER=")
	}
	p := child.Start(w.t, cmd)
	w.t.Cleanup(p.Kill) // nobody waits until it has taken leave of a thousand connections
	const ready = "ready at "
	line := p.Line(w.t, func(line string) bool { return strings.HasPrefix(line, ready) })
	return &process{p, strings.TrimPrefix(line, ready), name}
}

// watch has f called at each write that a watched process tells of, which goes on when f returns.
func (w *world) watch(f func(when string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = f
}

// shortLived makes access tokens end after a second.
func (p *practice) shortLived() {
	p.idp.Set(func(b *providertest.Behavior) { b.AccessTTL = time.Second })
}

// expire returns when every token that was issued is over, and lets those that are issued from now on
// live.
func (p *practice) expire() {
	p.idp.Set(func(b *providertest.Behavior) { b.AccessTTL = time.Hour })
	<-time.After(1100 * time.Millisecond)
}

// atOnce is how many requests may be under way: more of them keep the provider, in the same process and
// under the race detector, from answering in time on a machine with other work.
const atOnce = 1000

// together calls f for each of 0 … n-1, in that order and as many at once as may be.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	start := make(chan struct{})
	for range min(n, atOnce) {
		wg.Go(func() {
			<-start
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	close(start)
	wg.Wait()
}
