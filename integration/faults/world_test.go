package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/integration/internal/child"
	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(variable) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they mostly wait
	os.Exit(m.Run())
}

func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

// A world is what one app stands on.
type world struct {
	t     *testing.T
	idp   *providertest.Server
	redis *redistest.Server
	proxy *faultproxy.Proxy // before redis
	keys  string
	logs  *journal // of the apps in this process

	browsers []*browser
}

// newWorld returns a world whose Redis has these settings.
func newWorld(t *testing.T, args ...string) *world {
	t.Helper()
	w := &world{t: t, keys: newKey(), logs: new(journal)}
	w.redis = redistest.Start(t, args...)
	accounts := providertest.Accounts()
	for i := range 1000 {
		accounts = append(accounts, providertest.Account{ID: person(i), Name: person(i)})
	}
	w.idp = providertest.NewServer(t, providertest.Config{Accounts: accounts, CodeTTL: time.Hour})
	proxy, err := faultproxy.Listen(w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy = proxy
	t.Cleanup(proxy.Close)
	return w
}

// person returns one of many people.
func person(i int) string { return fmt.Sprintf("person-%d", i%1000) }

func newKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// settings returns those of an app that waits for its Redis as long as a busy machine may need.
func (w *world) settings() settings {
	return settings{Redis: w.proxy.Addr, Issuer: w.idp.Issuer(), Keys: w.keys, Timeout: patience}
}

// hasty is how long the store of an app waits where the answers are not to come.
const hasty = time.Second

// A local is an app in this process, behind a real socket.
type local struct {
	*app
	addr string
}

// app starts an app in this process.
func (w *world) app(s settings, change ...func(*middleware.Config)) *local {
	w.t.Helper()
	a, err := newApp(s, w.logs, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return &local{a, w.listen(a)}
}

// listen serves an app until the test ends.
func (w *world) listen(a *app) (addr string) {
	srv := httptest.NewServer(a)
	w.t.Cleanup(func() {
		srv.Close()
		if err := a.auth.Close(context.Background()); err != nil {
			w.t.Errorf("Close: %v", err)
		}
		if a.pool != nil {
			a.pool.Close()
		}
		if n := a.opened.Load(); n > 0 {
			w.t.Errorf("the gate opened %d times for nobody", n)
		}
	})
	return srv.Listener.Addr().String()
}

// A process is an app in another process.
type process struct {
	*child.Process
	addr string
}

// spawn starts an app in another process.
func (w *world) spawn(s settings) *process {
	w.t.Helper()
	return w.spawnAs(self(w.t), s)
}

// self returns the program that these tests are.
func self(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// spawnAs is spawn of a program that is this one, built in another way.
func (w *world) spawnAs(program string, s settings) *process {
	w.t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), variable+"="+string(b))
	p := child.Start(w.t, cmd)
	line := p.Line(w.t, func(line string) bool { return strings.HasPrefix(line, ready) })
	return &process{p, strings.TrimPrefix(line, ready)}
}

// size returns how many keys the server has.
func (w *world) size() int {
	w.t.Helper()
	n, ok := w.redis.Do(w.t, "DBSIZE").(int64)
	if !ok {
		w.t.Fatal("DBSIZE: no number")
	}
	return int(n)
}

// onceOnly fails the test if a code was sent to the provider twice.
func (w *world) onceOnly() {
	w.t.Helper()
	if twice := w.idp.Ledger().Repeated(); len(twice) > 0 {
		w.t.Errorf("%d codes were sent more than once", len(twice))
	}
}

// journal is a log that many goroutines write.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// A state is what a process says of itself.
type state struct{ goroutines, files, connections, gated, opened int }

func (p *process) state(t *testing.T) state {
	t.Helper()
	resp, err := http.Get("http://" + p.addr + "/state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s state
	if _, err := fmt.Fscan(resp.Body, &s.goroutines, &s.files, &s.connections, &s.gated, &s.opened); err != nil {
		t.Fatal(err)
	}
	return s
}

// rest closes the connections of all browsers, and returns what the process is when nothing happens.
func (w *world) rest(p *process) state {
	w.t.Helper()
	for _, b := range w.browsers {
		b.network.CloseIdleConnections()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last, since := p.state(w.t), time.Now()
	for deadline := time.Now().Add(5 * time.Second); time.Since(since) < 200*time.Millisecond && time.Now().Before(deadline); <-tick.C {
		if now := p.state(w.t); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// atRest checks that a process keeps nothing of what it went through since begin, and never opened
// its gate for nobody. The connections of its pool may stay.
func (w *world) atRest(p *process, begin state) {
	w.t.Helper()
	now := w.rest(p)
	more := func() bool {
		return now.goroutines > begin.goroutines+2 || now.files-now.connections > begin.files-begin.connections+2
	}
	for deadline := time.Now().Add(patience); more() && time.Now().Before(deadline); { // on a busy machine
		now = w.rest(p)
	}
	if more() {
		w.t.Errorf("the process has %+v, and had %+v", now, begin)
	}
	if now.opened > 0 {
		w.t.Errorf("the gate opened %d times for nobody", now.opened)
	}
}

// conn returns a connection to the server that a fault does not end.
func (w *world) conn() (do func(command string, args ...any)) {
	w.t.Helper()
	c, err := redis.Dial("tcp", w.redis.Addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return func(command string, args ...any) {
		w.t.Helper()
		if _, err := c.Do(command, args...); err != nil {
			w.t.Fatalf("redis: %s: %v", command, err)
		}
	}
}

// patience is how long what has to come may take to come, on a machine that is busy.
const patience = 45 * time.Second

// await waits until ok, or fails the test.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
		<-tick.C
	}
}

// trials returns the number that the environment asks for, or the usual one.
func trials(t testing.TB, name string, usual int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// ids returns the ids of the server's records of a kind.
func (w *world) ids(kind string) []string {
	w.t.Helper()
	prefix := "rl:" + kind + ":"
	keys, err := redis.Strings(w.redis.Do(w.t, "KEYS", prefix+"*"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, k := range keys {
		keys[i] = strings.TrimPrefix(k, prefix)
	}
	return keys
}
