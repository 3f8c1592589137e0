//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A node is a server that says what it is.
type node struct {
	addr   string
	master atomic.Bool
	pings  atomic.Int64
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := new(node)
	server := fake(t, func(command string, _ int) string {
		switch {
		case command == "PING":
			n.pings.Add(1)
			return "+PONG\r\n"
		case command == "ROLE" && n.master.Load():
			return strs("master", "0")
		case command == "ROLE":
			return strs("slave", "127.0.0.1")
		}
		return "-ERR unknown command\r\n"
	})
	n.addr = strings.TrimPrefix(server.URL, "redis://")
	return n
}

// strs is a reply of strings.
func strs(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// said is what a Sentinel says.
type said struct {
	master    int // of the nodes
	epoch     int
	state     string // of a failover that it leads
	candidate int    // of that, and 0 for none
	refuses   string // what it says instead
	then      *said  // what it says from its next answer on
}

// A town is three nodes that could be masters, and three Sentinels.
type town struct {
	nodes  [3]*node
	said   [3]atomic.Pointer[said]
	asked  [3]atomic.Int64
	server redisstore.Server
	log    redistest.Journal
	*redisstore.Store
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := new(town)
	for i := range w.nodes {
		w.nodes[i] = newNode(t)
		w.nodes[i].master.Store(true)
	}
	w.server = redisstore.Server{MasterName: "app", Timeout: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
	for i := range w.said {
		w.said[i].Store(&said{epoch: 1})
		s := fake(t, func(command string, _ int) string {
			w.asked[i].Add(1)
			now := w.said[i].Load()
			if now.then != nil {
				w.said[i].CompareAndSwap(now, now.then)
			}
			return w.answer(now, command)
		})
		w.server.Sentinels = append(w.server.Sentinels, strings.TrimPrefix(s.URL, "redis://"))
	}
	w.Store, _ = open(t, w.server)
	w.Store.Timeout = 10 * time.Second
	return w
}

func (w *town) answer(s *said, command string) string {
	host, port, _ := net.SplitHostPort(w.nodes[s.master].addr)
	switch {
	case s.refuses != "":
		return s.refuses
	case command == "SENTINEL GET-MASTER-ADDR-BY-NAME app":
		return strs(host, port)
	case command == "SENTINEL MASTER app" && s.state != "":
		host, port, _ := net.SplitHostPort(w.nodes[0].addr) // the former
		return strs("ip", host, "port", port, "flags", "master,failover_in_progress", "failover-state", s.state, "config-epoch", fmt.Sprint(s.epoch))
	case command == "SENTINEL MASTER app":
		return strs("ip", host, "port", port, "flags", "master", "config-epoch", fmt.Sprint(s.epoch))
	case command == "SENTINEL SLAVES app" && s.candidate > 0:
		host, port, _ := net.SplitHostPort(w.nodes[s.candidate].addr)
		return "*1\r\n" + strs("ip", host, "port", port, "flags", "slave,promoted")
	case command == "SENTINEL SLAVES app":
		return "*0\r\n"
	}
	return "-ERR unknown command\r\n"
}

// say is what all of them say from now on.
func (w *town) say(all ...said) {
	for i := range w.said {
		w.said[i].Store(&all[min(i, len(all)-1)])
	}
}

// heard waits until each Sentinel was asked twice more.
func (w *town) heard(t *testing.T) {
	t.Helper()
	var goal [3]int64
	for i := range goal {
		goal[i] = w.asked[i].Load() + 5 // one or two for each, and what is under way
		if w.said[i].Load().refuses != "" {
			goal[i] = w.asked[i].Load() + 2
		}
	}
	await(t, "the Sentinels to be asked", func() bool {
		w.Ping(t.Context())
		for i := range goal {
			if w.asked[i].Load() < goal[i] {
				return false
			}
		}
		return true
	})
}

// answers returns which node answers now.
func (w *town) answers(t *testing.T) int {
	t.Helper()
	var before [3]int64
	for i, n := range w.nodes {
		before[i] = n.pings.Load()
	}
	if err := w.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, n := range w.nodes {
		if n.pings.Load() > before[i] {
			return i
		}
	}
	t.Fatal("nobody was asked")
	return 0
}

// What several Sentinels say makes one master.
func TestSentinels(t *testing.T) {
	rows := []struct {
		name string
		then []said // the second node; the first was the master before, in epoch 1
		want int
	}{
		{"nothing new", []said{{epoch: 1}}, 0},
		{"all name another", []said{{master: 1, epoch: 2}}, 1},
		{"one knows it first", []said{{master: 1, epoch: 2}, {epoch: 1}, {epoch: 1}}, 1},
		{"one was cut off", []said{{epoch: 1}, {master: 1, epoch: 2}, {master: 1, epoch: 2}}, 1},
		{"one of an older time, alone", []said{{master: 1}, {refuses: "-LOADING \r\n"}, {refuses: "-LOADING \r\n"}}, 0},
		{"set up anew", []said{{master: 1}}, 1}, // config-epoch 0
		{"set up anew, one is away", []said{{master: 1}, {master: 1}, {refuses: "-LOADING \r\n"}}, 1},
		{"a second failover", []said{{master: 1, epoch: 2}, {master: 2, epoch: 3}, {epoch: 1}}, 2},
		{"none answers", []said{{refuses: "-LOADING \r\n"}}, 0},
		{"promoted, not yet told", []said{{epoch: 1, state: "wait_promotion", candidate: 1}, {epoch: 1}, {epoch: 1}}, 1},
		{"told, not yet over", []said{{master: 1, epoch: 2, state: "reconf_slaves", candidate: 1}, {epoch: 1}, {epoch: 1}}, 1},
		{"an election that nobody has won", []said{{epoch: 1, state: "wait_start"}}, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			if got := w.answers(t); got != 0 {
				t.Fatalf("node %d answers, want the first", got)
			}
			w.heard(t)
			w.say(row.then...)
			w.heard(t)
			w.heard(t)
			if got := w.answers(t); got != row.want {
				t.Errorf("node %d answers, want %d\n%s", got, row.want, w.log.String())
			}
			if changed := strings.Contains(w.log.String(), "another server is the master now"); changed != (row.want != 0) {
				t.Errorf("the log tells of another master: %v, want %v\n%s", changed, row.want != 0, w.log.String())
			}
		})
	}
}

// While a replica is being promoted, nobody is asked: not the former master, which would lose it, nor the
// replica, before it is a master. Callers wait, and then go on there.
func TestSentinels_promotion(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for range 5 {
		w.say(said{epoch: 1})
		w.nodes[1].master.Store(false)
		await(t, "the first", func() bool { return w.answers(t) == 0 })
		w.say(said{epoch: 1, state: "select_slave"}, said{epoch: 1}, said{epoch: 1})
		begun := time.Now()
		answered := make(chan int, 1)
		await(t, "the failover to be seen", func() bool { return strings.Contains(w.log.String(), "being promoted") })
		go func() { answered <- w.answers(t) }()
		w.say(said{epoch: 1, state: "wait_promotion", candidate: 1}, said{epoch: 1}, said{epoch: 1})
		select {
		case got := <-answered:
			if time.Since(begun) < 2*time.Second {
				t.Fatalf("node %d answers while a replica is being promoted", got)
			}
			continue // the machine stood still
		case <-time.After(300 * time.Millisecond):
		}
		w.nodes[1].master.Store(true)
		if got := <-answered; got != 1 && time.Since(begun) < 2*time.Second {
			t.Fatalf("node %d answers, want the one that was promoted", got)
		} else if got == 1 {
			return
		}
	}
	t.Fatal("the machine is too busy")
}

// A Sentinel that learns of the promotion between two questions does not lead back to the former master.
func TestSentinels_between(t *testing.T) {
	t.Parallel()
	for n := range 6 { // answers, until it learns
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.answers(t)
			w.say(said{epoch: 1, state: "wait_promotion", candidate: 1}, said{epoch: 1}, said{epoch: 1})
			await(t, "the second", func() bool { return w.answers(t) == 1 })
			before := w.nodes[0].pings.Load()
			over := &said{master: 1, epoch: 2, state: "reconf_slaves", candidate: 1}
			for range n {
				over = &said{epoch: 1, state: "wait_promotion", candidate: 1, then: over}
			}
			w.said[0].Store(over)
			w.heard(t)
			w.heard(t)
			if got := w.nodes[0].pings.Load() - before; got != 0 {
				t.Errorf("the former master was asked %d times", got)
			}
			if n := strings.Count(w.log.String(), "another server is the master now"); n != 1 {
				t.Errorf("the log tells of another master %d times, want once:\n%s", n, w.log.String())
			}
		})
	}
}

// A failover that gets nowhere holds nobody for ever: the master is where it was.
func TestSentinels_promotionFails(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.nodes[1].master.Store(false)
	w.answers(t)
	w.say(said{epoch: 1, state: "wait_promotion", candidate: 1}, said{epoch: 1}, said{epoch: 1})
	await(t, "the failover to be seen", func() bool { return strings.Contains(w.log.String(), "being promoted") })
	if got := w.answers(t); got != 0 {
		t.Errorf("node %d answers, want the first", got)
	}
}

// Where no Sentinel answers, a server that was demoted is not asked either: not to read from, and not by
// a connection that was there before.
func TestSentinels_away(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.answers(t)
	w.say(said{refuses: "-LOADING \r\n"})
	await(t, "silence", func() bool {
		w.Ping(t.Context())
		return strings.Contains(w.log.String(), "nobody answers who knows the master")
	})
	if got := w.answers(t); got != 0 {
		t.Errorf("node %d answers, want the first", got)
	}
	w.nodes[0].master.Store(false)
	await(t, "the role to be asked for", func() bool { return w.Ping(t.Context()) != nil })
	wantClass(t, "ping", w.Ping(t.Context()), sessionstore.ErrUnavailable)
	w.say(said{master: 1, epoch: 2})
	await(t, "the new master", func() bool { return w.Ping(t.Context()) == nil })
	if got := w.answers(t); got != 1 {
		t.Errorf("node %d answers, want the second", got)
	}
	if !strings.Contains(w.log.String(), "answers again") {
		t.Errorf("the log does not tell that Sentinels answer again:\n%s", w.log.String())
	}
}

func TestSentinels_errors(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		refuses string
		want    error
	}{
		{"another name", "-ERR No such master with that name\r\n", sessionstore.ErrMisconfigured},
		{"nothing", "*-1\r\n", sessionstore.ErrMisconfigured},
		{"a password is wanted", "-NOAUTH Authentication required.\r\n", sessionstore.ErrMisconfigured},
		{"a right is missing", "-NOPERM this user has no permissions to run the 'sentinel' command with " + canary + "\r\n", sessionstore.ErrMisconfigured},
		{"not yet", "-LOADING \r\n", sessionstore.ErrUnavailable},
		{"no Sentinel", "HTTP/1.1 400 Bad Request\r\n", sessionstore.ErrMisconfigured},
		{"one word", strs("127.0.0.1"), sessionstore.ErrMisconfigured},
		{"two words", strs("ip", "127.0.0.1"), sessionstore.ErrMisconfigured},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.say(said{refuses: row.refuses})
			err := w.Ping(t.Context())
			wantClass(t, "ping", err, row.want)
			if text := fmt.Sprint(err, w.log.String()); strings.Contains(text, canary) {
				t.Errorf("%s", text)
			}
		})
	}
	for _, row := range []struct {
		name   string
		server redisstore.Server
	}{
		{"no name", redisstore.Server{Sentinels: []string{"127.0.0.1:1"}}},
		{"an address beside them", redisstore.Server{Sentinels: []string{"127.0.0.1:1"}, MasterName: "app",
			Address: func(context.Context) (string, error) { return "", nil }}},
		{"a port that is none", redisstore.Server{Sentinels: []string{"127.0.0.1:x"}, MasterName: "app"}},
		{"a database", redisstore.Server{Sentinels: []string{"redis://127.0.0.1/2"}, MasterName: "app"}},
		{"several in one", redisstore.Server{Sentinels: []string{"a:1,b:2"}, MasterName: "app"}},
		{"no address", redisstore.Server{MasterName: "app"}},
		{"a password in a malformed one", redisstore.Server{Sentinels: []string{"redis://:" + canary + "@%zz"}, MasterName: "app"}},
	} {
		if _, err := redisstore.NewPool(row.server); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got error %v", row.name, err)
		}
	}
}

// Whoever asks the Sentinels stops a while after the last use.
func TestSentinels_idle(t *testing.T) {
	w := newTown(t)
	w.answers(t)
	c, err := w.server.Dial(t.Context(), "") // asks by itself, and ends at once
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	asked := func() (n int64) {
		for i := range w.asked {
			n += w.asked[i].Load()
		}
		return n
	}
	last := asked()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	await(t, "the end", func() bool {
		<-tick.C
		before := last
		last = asked()
		return last == before
	})
	w.say(said{master: 1, epoch: 2}) // meanwhile
	if got := w.answers(t); got != 1 {
		t.Errorf("node %d answers after a rest, want the second", got)
	}
}

// A pool does not keep connections to a server that Address has ceased to name.
func TestAddress_changes(t *testing.T) {
	t.Parallel()
	one, two := newNode(t), newNode(t)
	one.master.Store(true)
	two.master.Store(true)
	var addr atomic.Value
	addr.Store(one.addr)
	var log redistest.Journal
	s, _ := open(t, redisstore.Server{
		URL:     "redis://",
		Address: func(context.Context) (string, error) { return addr.Load().(string), nil },
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr.Store(two.addr)
	await(t, "the second", func() bool { return s.Ping(t.Context()) == nil && two.pings.Load() > 0 })
	before := one.pings.Load()
	if err := s.Ping(t.Context()); err != nil || one.pings.Load() != before {
		t.Errorf("the first is asked again, or %v", err)
	}
	if !strings.Contains(log.String(), "another server is the master now") {
		t.Errorf("the log does not tell of it:\n%s", log.String())
	}
}

// Whoever waits for a failover waits no longer than they may.
func TestSentinels_deadline(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.say(said{epoch: 1, state: "wait_promotion"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := w.Ping(ctx)
	if !errors.Is(err, sessionstore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
