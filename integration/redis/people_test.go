package redis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// A town is an app on a store, and people who are signed in to it.
type town struct {
	t       *testing.T
	url     string
	idp     *providertest.Server
	people  []*resident
	leavers []*resident // who sign out just before the master dies

	mu       sync.Mutex
	answers  map[string]int // "path status"
	lastBad  time.Time
	mistakes []string
}

// A resident has two cookie jars: one for the app, one for the provider.
type resident struct {
	who      string
	app, idp *http.Client
	put      int // the last number that was put and confirmed
}

func newTown(t *testing.T, store sessionstore.Store, people, leavers int) *town {
	t.Helper()
	n := &town{t: t, answers: map[string]int{}}
	var accounts []providertest.Account
	for i := range people + leavers + 1 {
		id := fmt.Sprint("person-", i)
		accounts = append(accounts, providertest.Account{ID: id, Name: id})
	}
	n.idp = providertest.NewServer(t, providertest.Config{Accounts: accounts, CodeTTL: time.Hour})
	var app http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	n.url = srv.URL
	auth, err := middleware.New(middleware.Config{
		BaseURL: srv.URL,
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: n.idp.Issuer(), ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
		}},
		Store: store, Keys: sessionstore.NewKeyring(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		if acc, err := middleware.User(r.Context()); err == nil {
			fmt.Fprint(w, acc.Identity.Subject)
		}
	})
	mux.HandleFunc("/put", func(_ http.ResponseWriter, r *http.Request) {
		auth.Sessions().Put(r.Context(), "n", r.FormValue("n"))
	})
	mux.HandleFunc("/value", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, auth.Sessions().GetString(r.Context(), "n"))
	})
	app = auth.Handler(mux)
	for i, a := range accounts {
		r := n.resident(a.ID)
		if err := n.signIn(r); err != nil {
			t.Fatal(err)
		}
		if i < people {
			n.people = append(n.people, r)
		} else {
			n.leavers = append(n.leavers, r)
		}
	}
	return n
}

func (n *town) resident(who string) *resident {
	client := func() *http.Client {
		jar, _ := cookiejar.New(nil) // never an error
		transport := &http.Transport{}
		n.t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &resident{who: who, app: client(), idp: client()}
}

// signIn goes all the way.
func (n *town) signIn(r *resident) error {
	status, _, header, err := n.ask(r, http.MethodGet, "/auth/idp/login?return_to=/who")
	if err != nil || status != http.StatusSeeOther {
		return fmt.Errorf("start: status %d, %w", status, err)
	}
	r.idp.CheckRedirect = nil
	callback, err := n.idp.Approve(n.t.Context(), r.idp, header.Get("Location"), r.who)
	if err != nil {
		return err
	}
	status, body, _, err := n.ask(r, http.MethodGet, strings.TrimPrefix(callback, n.url))
	if err != nil || status != http.StatusSeeOther {
		return fmt.Errorf("callback: status %d, %w: %.200s", status, err, body)
	}
	return nil
}

// ask sends a request as a browser does, which follows a page that loads itself again. It notes a cookie that an answer
// takes away.
func (n *town) ask(r *resident, method, path string) (status int, body string, header http.Header, err error) {
	req, err := http.NewRequest(method, n.url+path, nil)
	if err != nil {
		return 0, "", nil, err
	}
	for k, v := range map[string]string{
		"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Origin": n.url, "Accept": "text/html",
	} {
		req.Header.Set(k, v)
	}
	for began := time.Now(); req != nil; req = pagetest.Next(began, req, status, header) {
		resp, err := r.app.Do(req.Clone(req.Context())) // the client adds its cookies to it
		if err != nil {
			return 0, "", nil, err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return resp.StatusCode, "", resp.Header, err
		}
		for _, c := range resp.Cookies() {
			// A sign-in that has ended takes away the binding of its start: that is not the session's.
			if c.MaxAge < 0 && path != "/auth/logout" && !strings.Contains(c.Name, "bind") {
				n.mistake("%s clears %s", path, c.Name)
			}
		}
		status, body, header = resp.StatusCode, string(b), resp.Header
	}
	return status, body, header, nil
}

func (n *town) mistake(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mistakes) < 10 {
		n.mistakes = append(n.mistakes, fmt.Sprintf(format, args...))
	}
}

// live makes everybody ask and put until ctx ends.
func (n *town) live(ctx context.Context) *sync.WaitGroup {
	wg := new(sync.WaitGroup)
	for _, r := range n.people {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 1; ctx.Err() == nil; i++ {
				<-tick.C
				n.step(r, "/who", 0)
				n.step(r, "/put", i)
			}
		})
	}
	return wg
}

// step sends one request and checks what must hold, whatever has failed: the person's own answer, or
// 503 for now.
func (n *town) step(r *resident, path string, i int) {
	target := path
	if i > 0 {
		target += fmt.Sprint("?n=", i)
	}
	status, body, header, err := n.ask(r, http.MethodGet, target)
	ok := err == nil && status == http.StatusOK
	switch {
	case ok && path == "/who" && body != "practice-"+r.who:
		n.mistake("%s is %q", r.who, body)
		ok = false
	case ok && path == "/put":
		r.put = i
	case err != nil || !ok && (status != http.StatusServiceUnavailable || header.Get("Retry-After") == ""):
		n.mistake("%s: status %d, %v", path, status, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[fmt.Sprint(path, " ", status)]++
	if !ok {
		n.lastBad = time.Now()
	}
}

// survive kills a master while everybody is at it, and checks that nobody was signed out. What
// replication may lose is counted; with durable nothing may.
func (n *town) survive(kill func(), recovered func() bool, durable bool) {
	t := n.t
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	wg := n.live(ctx)
	defer func() { stop(); wg.Wait() }()
	count := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.answers["/put 200"]
	}
	await(t, "load", func() bool { return count() > 200 })
	n.mu.Lock()
	if !n.lastBad.IsZero() {
		t.Errorf("answers before the failover: %v", n.answers)
	}
	n.mu.Unlock()
	var left []*resident // who were told that they are signed out
	for _, r := range n.leavers {
		jar, _ := cookiejar.New(nil)
		u, _ := url.Parse(n.url)
		jar.SetCookies(u, r.app.Jar.Cookies(u))
		if status, _, _, err := n.ask(r, http.MethodPost, "/auth/logout"); err == nil && status == http.StatusSeeOther {
			left = append(left, r)
		}
		r.app.Jar = jar // somebody kept a copy of the cookie
	}
	killed := time.Now()
	kill()
	await(t, "failover", recovered)
	failover := time.Since(killed)
	before := count()
	await(t, "good answers", func() bool {
		n.mu.Lock()
		last := n.lastBad
		n.mu.Unlock()
		return count() > before+200 && time.Since(last) > 2*time.Second
	})
	stop()
	wg.Wait()

	for _, m := range n.mistakes {
		t.Error(m)
	}
	lost, revived := 0, 0
	for _, r := range n.people {
		if _, body, _, err := n.ask(r, http.MethodGet, "/who"); err != nil || body != "practice-"+r.who {
			t.Errorf("%s is %q afterwards, %v", r.who, body, err)
		}
		_, body, _, _ := n.ask(r, http.MethodGet, "/value")
		if got, _ := strconv.Atoi(body); got < r.put { // one that was not confirmed may have been made
			lost++
		}
	}
	for _, r := range left {
		if _, body, _, _ := n.ask(r, http.MethodGet, "/who"); body != "" {
			revived++
		}
	}
	if err := n.signIn(n.resident("person-0")); err != nil {
		t.Errorf("sign in afterwards: %v", err)
	}
	if last := n.lastBad.Sub(killed); last > failover+resumes {
		t.Errorf("the last failure came %v after the failover", last-failover)
	}
	t.Logf("failover after %v, last failure after %v; %v; of %d people %d have not their last value, of %d sign-outs %d are lost",
		failover.Round(10*time.Millisecond), n.lastBad.Sub(killed).Round(10*time.Millisecond), n.answers, len(n.people), lost, len(left), revived)
	if durable && lost+revived > 0 {
		t.Error("with Replicas nothing that was confirmed may be lost")
	}
}

// F15: nobody is signed out by a failover, and with Replicas nothing that was confirmed is lost.
func TestSentinel_people(t *testing.T) {
	for _, replicas := range []int{0, 1} {
		t.Run(fmt.Sprint("replicas ", replicas), func(t *testing.T) {
			w := startWatch(t)
			store, _ := w.store(t)
			store.Replicas = replicas
			n := newTown(t, store, 12, 12)
			awaitReplicas(t, w.master)
			n.survive(w.master.Kill, func() bool { return len(masters(w.replicas)) == 1 }, replicas > 0)
		})
	}
}

// With Replicas, a cluster needs two replicas of each master: the one that takes over has none left here.
func TestCluster_people(t *testing.T) {
	nodes := startCluster(t)
	store, _ := clusterStore(t, nodes)
	n := newTown(t, store, 12, 12)
	for _, m := range masters(nodes) {
		awaitReplicas(t, m)
	}
	victim := masters(nodes)[0]
	others := without(nodes, victim)
	n.survive(victim.Kill, func() bool { return len(masters(others)) == 3 && clusterOK(others[0]) }, false)
}
