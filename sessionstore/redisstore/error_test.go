//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// canary is an id that no error may show.
const canary = "canary-of-a-session"

var key = sessionstore.Key{Kind: "session", ID: canary}

// change is one that must find a record.
func change() sessionstore.Change {
	return sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: canary}}}
}

// create is one that makes a record.
func create(fields ...sessionstore.Field) sessionstore.Change {
	return sessionstore.Change{Mode: sessionstore.MustNotExist, Set: fields, Expires: time.Now().Add(time.Hour)}
}

// operations are all that a store does.
var operations = []struct {
	name string
	do   func(ctx context.Context, s *redisstore.Store) error
}{
	{"load", func(ctx context.Context, s *redisstore.Store) error { _, err := s.Load(ctx, key); return err }},
	{"update", func(ctx context.Context, s *redisstore.Store) error { return s.Update(ctx, key, change()) }},
	{"create", func(ctx context.Context, s *redisstore.Store) error { return s.Update(ctx, key, create()) }},
	{"delete", func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, key) }},
	{"delete two", func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, key, key) }},
	{"ping", func(ctx context.Context, s *redisstore.Store) error { return s.Ping(ctx) }},
}

// wantClass checks that err is of that class and no other, and tells no secret.
func wantClass(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	classes := []error{
		sessionstore.ErrNotFound, sessionstore.ErrExists, sessionstore.ErrConflict, sessionstore.ErrFull, sessionstore.ErrInvalid,
		sessionstore.ErrUnavailable, sessionstore.ErrOverloaded, sessionstore.ErrMisconfigured,
	}
	for _, class := range classes {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == class
		}
		if errors.Is(err, class) != wanted {
			t.Errorf("%s: got error %v, is %v: %v, want %v", what, err, class, !wanted, wanted)
		}
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

// FAULTS F16: every answer has its class, and none is "no session".
func TestAnswers(t *testing.T) {
	unavailable, misconfigured, full := sessionstore.ErrUnavailable, sessionstore.ErrMisconfigured, sessionstore.ErrFull
	rows := []struct {
		name, answer string
		want         []error
		dropped      bool // the connection does not go back to the pool
	}{
		{"OOM", "-OOM command not allowed when used memory > 'maxmemory'.\r\n", []error{full}, false},
		{"OOM in a script of Redis 6", "-ERR Error running script (call to f_0123): @user_script:9: @user_script: 9: -OOM command not allowed\r\n", []error{full}, false},
		{"MISCONF", "-MISCONF Redis is configured to save RDB snapshots, but\r\n", []error{full, unavailable}, false},
		{"READONLY", "-READONLY You can't write against a read only replica.\r\n", []error{unavailable}, true},
		{"READONLY in a script of Redis 6", "-ERR Error running script (call to f_0123): @user_script:9: -READONLY You can't\r\n", []error{unavailable}, true},
		{"MASTERDOWN", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", []error{unavailable}, true},
		{"BUSY", "-BUSY Redis is busy running a script.\r\n", []error{unavailable}, false},
		{"LOADING", "-LOADING Redis is loading the dataset in memory\r\n", []error{unavailable}, false},
		{"CLUSTERDOWN", "-CLUSTERDOWN The cluster is down\r\n", []error{unavailable}, false},
		{"TRYAGAIN", "-TRYAGAIN Multiple keys request during rehashing of slot\r\n", []error{unavailable}, false},
		{"NOREPLICAS", "-NOREPLICAS Not enough good replicas to write.\r\n", []error{unavailable}, false},
		{"maxclients", "-ERR max number of clients reached\r\n", []error{unavailable}, false},
		{"NOAUTH", "-NOAUTH Authentication required.\r\n", []error{misconfigured}, true},
		{"WRONGPASS", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", []error{misconfigured}, false},
		{"NOPERM", "-NOPERM this user has no permissions to access 'rl:session:" + canary + "'\r\n", []error{misconfigured}, false},
		{"NOPERM in a script", "-ERR The user executing the script can't run this command or subcommand script: 0123, on @user_script:20.\r\n", []error{misconfigured}, false},
		{"NOPERM in a script of Redis 6", "-ERR Error running script (call to f_0123): @user_script:20: @user_script: 20: The user executing the script can't run this command or subcommand\r\n", []error{misconfigured}, false},
		{"NOPERM in a script of Redis 7.2", "-ERR ACL failure in script: User " + canary + " has no permissions to run the 'hset' command script: 0123, on @user_script:20.\r\n", []error{misconfigured}, false},
		{"a command that was renamed, in a script", "-ERR Unknown Redis command called from script script: 0123, on @user_script:20.\r\n", []error{misconfigured}, false},
		{"no password, and a long command", "-ERR Protocol error: unauthenticated multibulk length\r\n", []error{misconfigured}, false},
		{"MOVED", "-MOVED 3999 127.0.0.1:6381\r\n", []error{misconfigured}, false},
		{"CROSSSLOT", "-CROSSSLOT Keys in request don't hash to the same slot\r\n", []error{misconfigured}, false},
		{"WRONGTYPE", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", []error{misconfigured}, false},
		{"unknown command", "-ERR unknown command `HGETALL`, with args beginning with: `rl:session:" + canary + "`, \r\n", []error{misconfigured}, false},
		{"an error of tomorrow", "-NEWERR " + canary + "\r\n", []error{unavailable}, false},
		{"an error without a code", "-" + canary + "\r\n", []error{unavailable}, false},
		{"an empty error", "-\r\n", []error{unavailable}, false},
		{"HTTP", "HTTP/1.1 400 Bad Request " + canary + "\r\n\r\n", []error{misconfigured}, true},
		{"a reply of another type", "+" + canary + "\r\n", []error{misconfigured}, true},
		{"null", "$-1\r\n", []error{misconfigured}, true},
		{"a large number", ":4711\r\n", []error{misconfigured}, true},
		{"an odd hash", "*1\r\n$1\r\na\r\n", []error{misconfigured}, true},
		{"a hash of numbers", "*2\r\n:1\r\n:2\r\n", []error{misconfigured}, true},
		{"somebody else's hash", "*2\r\n$1\r\na\r\n$2\r\n\x001\r\n", []error{misconfigured}, true},
		{"another record", "*2\r\n$0\r\n\r\n$15\r\n1 session:other\r\n", []error{misconfigured}, true},
		{"a value without a version", "*2\r\n$1\r\na\r\n$0\r\n\r\n", []error{misconfigured}, true},
		{"a value that is cut off", "*2\r\n$1\r\na\r\n$2\r\n\x081\r\n", []error{misconfigured}, true},
		{"a hostile length", "$99999999999999\r\n", []error{unavailable}, true},
		{"a hostile count", "*99999999999999\r\n", []error{unavailable}, true},
		{"half a reply", "*2\r\n$1\r\n", []error{unavailable}, true},
		{"nothing", "", []error{unavailable}, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, pool := open(t, fake(t, func(string, int) string { return row.answer }))
			s.Timeout = 100 * time.Millisecond
			for _, op := range operations {
				if strings.HasPrefix(op.name, "delete t") && row.answer == "" {
					continue // two answers of nothing are as one
				}
				wantClass(t, op.name, op.do(t.Context(), s), row.want...)
				if idle := pool.IdleCount(); (idle == 0) != row.dropped {
					t.Errorf("%s: got %d idle connections, dropped: want %v", op.name, idle, row.dropped)
				}
			}
		})
	}
}

// Who is not there, or does not let us in, is known as that.
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(command string) func(command string, n int) string {
		return func(got string, n int) string {
			if strings.HasPrefix(got, "AUTH") && strings.HasPrefix(command, "-WRONGPASS") || strings.HasPrefix(got, "SELECT") {
				return command
			}
			return "+OK\r\n"
		}
	}
	with := func(s redisstore.Server, user, path string) redisstore.Server {
		s.URL = strings.Replace(s.URL, "redis://", "redis://"+user, 1) + path
		return s
	}
	rows := []struct {
		name   string
		server redisstore.Server
		want   error
	}{
		{"nobody listens", redisstore.Server{URL: "redis://" + l.Addr().String()}, sessionstore.ErrUnavailable},
		{"no such host", redisstore.Server{URL: "redis://canary.invalid"}, sessionstore.ErrUnavailable},
		{"wrong password", with(fake(t, refused("-WRONGPASS canary\r\n")), "user:canary@", ""), sessionstore.ErrMisconfigured},
		{"no such database", with(fake(t, refused("-ERR DB index is out of range\r\n")), "", "/99"), sessionstore.ErrMisconfigured},
		{"a server that is silent", with(fake(t, refused("")), "", "/1"), sessionstore.ErrUnavailable},
		{"no address", redisstore.Server{URL: "redis://", Address: func(context.Context) (string, error) { return "", errors.New("no sentinel") }}, sessionstore.ErrUnavailable},
	}
	l.Close() // not before the fakes have ports of their own
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.server.Timeout = 200 * time.Millisecond
			s, _ := open(t, row.server)
			for _, op := range operations {
				err := op.do(t.Context(), s)
				if row.name == "no such host" && err != nil {
					// The name of the host is ours to see.
					err = errors.New(strings.ReplaceAll(err.Error(), "canary.invalid", ""))
					if !strings.Contains(err.Error(), "unavailable") {
						t.Errorf("%s: got error %v", op.name, err)
					}
					continue
				}
				wantClass(t, op.name, err, row.want)
			}
		})
	}
}

// What the caller did is not the store's failure.
func TestCancelled(t *testing.T) {
	s, _ := open(t, fake(t, func(string, int) string { return "" }))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, op := range operations {
		err := op.do(canceled, s)
		wantClass(t, op.name, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got error %v, want %v", op.name, err, context.Canceled)
		}
		if err := op.do(late, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got error %v, want %v", op.name, err, context.DeadlineExceeded)
		}
	}
}

// A context's deadline shortens the time, and never lengthens it.
func TestDeadline(t *testing.T) {
	s, _ := open(t, fake(t, func(string, int) string { return "" }))
	rows := []struct {
		name           string
		store, context time.Duration
	}{
		{"the store's", 50 * time.Millisecond, time.Hour},
		{"the context's", time.Hour, 50 * time.Millisecond},
	}
	for _, row := range rows {
		s.Timeout = row.store
		for _, op := range operations {
			ctx, cancel := context.WithTimeout(t.Context(), row.context)
			start := time.Now()
			err := op.do(ctx, s)
			cancel()
			if took := time.Since(start); took > 5*time.Second || err == nil {
				t.Errorf("%s: %s: got error %v after %v, want one after %v", row.name, op.name, err, took, 50*time.Millisecond)
			}
		}
	}
}

// A server that takes nothing any more does not hold a large value's writer for longer than the store's
// time, whatever the connection's own time for a write is.
func TestWriteDeadline(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	s, _ := open(t, redisstore.Server{URL: "redis://" + deaf.Addr().String(), Timeout: 30 * time.Second})
	s.Timeout = 100 * time.Millisecond
	start := time.Now()
	large := sessionstore.Field{Name: "a", Value: strings.Repeat("x", 32<<20)}
	wantClass(t, "update", s.Update(context.Background(), key, create(large)), sessionstore.ErrUnavailable)
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %v, want %v", took, s.Timeout)
	}
}

// The store's time bounds dials as well, with a server that accepts and says nothing, whatever the
// dial's own time is. The last one dials although a connection seemed to be at hand.
func TestDialDeadline(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	addr := silent.Addr().String()
	rows := []struct{ name, url string }{
		{"password", "redis://:canary@" + addr},
		{"TLS", "rediss://" + addr},
		{"first command", "redis://" + addr},
	}
	for _, row := range rows {
		for _, stale := range []bool{false, true} {
			t.Run(fmt.Sprint(row.name, ", stale ", stale), func(t *testing.T) {
				s, pool := open(t, redisstore.Server{URL: row.url, Timeout: time.Hour})
				s.Timeout = 100 * time.Millisecond
				if stale {
					dial := pool.DialContext
					pool.DialContext = func(context.Context) (redis.Conn, error) {
						return redis.NewConn(stream{r: strings.NewReader("")}, 0, 0), nil
					}
					pool.TestOnBorrow = func(redis.Conn, time.Time) error { return errors.New("stale") }
					pool.Get().Close()
					pool.DialContext = dial
				}
				start := time.Now()
				_, err := s.Load(context.Background(), key)
				wantClass(t, "load", err, sessionstore.ErrUnavailable)
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("took %v, want %v", took, s.Timeout)
				}
			})
		}
	}
}

func TestURL(t *testing.T) {
	rows := []struct {
		name, url string
		ok        bool
	}{
		{"plain", "redis://localhost:6379", true},
		{"everything", "rediss://user:pass%2Fword@redis.example.com:6380/2", true},
		{"password alone", "redis://canary@localhost", true},
		{"no host", "redis://", true},
		{"the last port", "redis://localhost:65535", true},
		{"a port that is none", "redis://canary@localhost:65536", false},
		{"port zero", "redis://canary@localhost:0", false},
		{"two hosts", "redis://canary@one:6379,two:6379", false},
		{"IPv6", "redis://[::1]:6379/0", true},
		{"nothing", "", false},
		{"no scheme", "localhost:6379", false},
		{"another scheme", "http://canary@localhost", false},
		{"opaque", "redis:canary", false},
		{"a query", "redis://localhost/0?password=canary", false},
		{"a database that is no number", "redis://canary@localhost/canary", false},
		{"a negative database", "redis://localhost/-1", false},
		{"malformed", "redis://user:canary@local host\x7f", false},
		{"a password with a percent sign", "redis://user:canary%zz@localhost", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := redisstore.NewPool(redisstore.Server{URL: row.url})
			if (err == nil) != row.ok {
				t.Errorf("got error %v, want none: %v", err, row.ok)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the URL: %v", err)
			}
		})
	}
}

// A pool that lacks what the store needs is found out, not worked around.
type bare struct{ redis.Conn }

type barePool struct{ conn redis.Conn }

func (p barePool) Get() redis.Conn { return bare{p.conn} }

func TestConnWithoutTimeout(t *testing.T) {
	pool, err := redisstore.NewPool(fake(t, func(string, int) string { return "*0\r\n" }))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := redisstore.New(barePool{pool.Get()}).Load(t.Context(), key); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("got error %v, want %v", err, sessionstore.ErrUnavailable)
	}
}

// A store that was made of nothing says so, to whoever looks into the log.
func TestNoPool(t *testing.T) {
	var none *redis.Pool
	for name, s := range map[string]*redisstore.Store{"zero": {}, "of nil": redisstore.New(nil), "of a nil pool": redisstore.New(none)} {
		for _, op := range operations {
			wantClass(t, name+": "+op.name, op.do(t.Context(), s), sessionstore.ErrMisconfigured)
		}
	}
}

// Without a guard nobody notices a reply that was not asked for, until one does not belong to its
// command: then the connection is given up, with all the others that it holds.
func TestUnaskedReplyUnguarded(t *testing.T) {
	for _, rest := range []string{":0\r\n", "-ERR no\r\n", "+a\r\n+b\r\n*0\r\n"} {
		server := fake(t, func(string, int) string { return "+what\r\n" + rest })
		pool := &redis.Pool{MaxIdle: 1, DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", strings.TrimPrefix(server.URL, "redis://"), redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second))
		}}
		defer pool.Close()
		_, err := redisstore.New(pool).Load(t.Context(), key)
		wantClass(t, "load", err, sessionstore.ErrMisconfigured)
		if n := pool.IdleCount(); n != 0 {
			t.Errorf("%q: got %d idle connections, want none", rest, n)
		}
	}
}
