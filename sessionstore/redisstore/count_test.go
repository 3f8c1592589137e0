//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// Each operation is one command with one key. EXISTS, HSET and so on are what the script does.
func TestCommands(t *testing.T) {
	server := redistest.Start(t)
	s, pool := open(t, redisstore.Server{URL: server.URL()})
	many := make([]sessionstore.Key, 250)
	for i := range many {
		many[i] = sessionstore.Key{Kind: "session", ID: fmt.Sprint(i)}
	}
	rows := []struct {
		name string
		do   func() error
		want map[string]int
	}{
		{"first update: the script is not known", func() error { return s.Update(t.Context(), key, create()) }, map[string]int{"EVALSHA": 1, "EVAL": 1}},
		{"update", func() error { return s.Update(t.Context(), key, change()) }, map[string]int{"EVALSHA": 1}},
		{"load", func() error { _, err := s.Load(t.Context(), key); return err }, map[string]int{"HGETALL": 1}},
		{"load of nothing", func() error {
			if _, err := s.Load(t.Context(), many[0]); !errors.Is(err, sessionstore.ErrNotFound) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}, map[string]int{"HGETALL": 1}},
		{"delete", func() error { return s.Delete(t.Context(), key) }, map[string]int{"DEL": 1}},
		{"delete of 250", func() error { return s.Delete(t.Context(), many...) }, map[string]int{"DEL": 250}},
		{"delete of none", func() error { return s.Delete(t.Context()) }, map[string]int{}},
		{"ping", func() error { return s.Ping(t.Context()) }, map[string]int{"PING": 1}},
		{"script flushed", func() error {
			server.Do(t, "SCRIPT", "FLUSH")
			return s.Update(t.Context(), key, create())
		}, map[string]int{"EVALSHA": 1, "EVAL": 1}},
		{"after that", func() error { return s.Update(t.Context(), key, change()) }, map[string]int{"EVALSHA": 1}},
	}
	inScript := []string{"EXISTS", "HSET", "HDEL", "HGET", "PEXPIREAT"}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			server.Do(t, "CONFIG", "RESETSTAT")
			if err := row.do(); err != nil {
				t.Fatal(err)
			}
			got := server.Commands(t)
			maps.DeleteFunc(got, func(name string, _ int) bool {
				return strings.HasPrefix(name, "CONFIG") || strings.HasPrefix(name, "SCRIPT") || contains(inScript, name)
			})
			if !maps.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
	if n := pool.ActiveCount(); n != 1 {
		t.Errorf("got %d connections for one caller, want 1", n)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// What is in Redis: one hash under prefix, kind and id, that ends when the record does.
func TestKeys(t *testing.T) {
	rows := []struct{ name, prefix, want string }{
		{"default", "", "rl:session:" + canary},
		{"own", "app/", "app/session:" + canary},
	}
	server := redistest.Start(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s, _ := open(t, redisstore.Server{URL: server.URL() + "/5"})
			s.Prefix = row.prefix
			c := create(sessionstore.Field{Name: "a", Value: "1"})
			if err := s.Update(t.Context(), key, c); err != nil {
				t.Fatal(err)
			}
			got, err := redis.Int64(server.Do(t, "EVAL", "redis.call('SELECT', 5) return redis.call('PEXPIRETIME', KEYS[1])", 1, row.want), nil)
			if err != nil || got != c.Expires.UnixMilli() {
				t.Errorf("got end %d, %v, want %d", got, err, c.Expires.UnixMilli())
			}
		})
	}
}

// An app of its own prefix sees nothing of another one's.
func TestPrefixesAreApart(t *testing.T) {
	server := redistest.Start(t)
	one, _ := open(t, redisstore.Server{URL: server.URL()})
	other, _ := open(t, redisstore.Server{URL: server.URL()})
	other.Prefix = "other:"
	if err := one.Update(t.Context(), key, create()); err != nil {
		t.Fatal(err)
	}
	_, err := other.Load(t.Context(), key)
	wantClass(t, "load", err, sessionstore.ErrNotFound)
}

// A record under another record's name, and a key of somebody else, are no records.
func TestForeignKeys(t *testing.T) {
	server := redistest.Start(t)
	s, _ := open(t, redisstore.Server{URL: server.URL()})
	if err := s.Update(t.Context(), sessionstore.Key{Kind: "session", ID: "mine"}, create()); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name    string
		command []any
	}{
		{"copied", []any{"COPY", "rl:session:mine", "rl:session:" + canary}},
		{"a string", []any{"SET", "rl:session:" + canary, "x"}},
		{"another hash", []any{"HSET", "rl:session:" + canary, "a", "b"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			server.Do(t, row.command[0].(string), row.command[1:]...)
			_, err := s.Load(t.Context(), key)
			wantClass(t, "load", err, sessionstore.ErrMisconfigured)
			server.Do(t, "DEL", "rl:session:"+canary)
		})
	}
}

// TestTrials makes 300 trials of each kind in each of two processes at once, or as many as
// RETURNLEG_TRIALS says in all.
func TestTrials(t *testing.T) {
	const variable = "REDISSTORE_TRIALS_URL"
	trials := 600
	if n := os.Getenv("RETURNLEG_TRIALS"); n != "" {
		var err error
		if trials, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	if url := os.Getenv(variable); url != "" {
		makeTrials(t, url, trials/2)
		return
	}
	server := redistest.Start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestTrials$", "-test.v", "-test.timeout=30m")
			cmd.Env = append(os.Environ(), variable+"="+server.URL())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	// Both processes took one value for each round, of all the rounds: see shared.
	s, _ := open(t, redisstore.Server{URL: server.URL()})
	r, err := s.Load(t.Context(), sharedKey)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := r.Field("n")
	if want := uint64(1 + trials/2*2); f.Version != want {
		t.Errorf("two processes counted to %d, want %d", f.Version, want)
	}
}

var sharedKey = sessionstore.Key{Kind: "trial", ID: "shared"}

func makeTrials(t *testing.T, url string, trials int) {
	s, _ := open(t, redisstore.Server{URL: url})
	s.Timeout = 20e9 // the machine may be busy
	for name, trial := range map[string]func(context.Context, sessionstore.Store, int) (int, error){
		"lost writes": storetest.LostWrites, "revived": storetest.Revived, "double takes": storetest.DoubleTakes,
	} {
		if got, err := trial(t.Context(), s, trials); got != 0 || err != nil {
			t.Errorf("%s: got %d of %d, %v, want 0", name, got, trials, err)
		}
	}
	// The other process counts as well.
	first := create(sessionstore.Field{Name: "n", Version: 1})
	if err := s.Update(t.Context(), sharedKey, first); err != nil && !errors.Is(err, sessionstore.ErrExists) {
		t.Fatal(err)
	}
	for n := 0; n < trials; {
		r, err := s.Load(t.Context(), sharedKey)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := r.Field("n")
		err = s.Update(t.Context(), sharedKey, sessionstore.Change{
			If:  []sessionstore.Match{{Name: "n", Version: f.Version}},
			Set: []sessionstore.Field{{Name: "n", Version: f.Version + 1}},
		})
		switch {
		case err == nil:
			n++
		case !errors.Is(err, sessionstore.ErrConflict):
			t.Fatal(err)
		}
	}
}
