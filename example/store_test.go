package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
)

func TestNodes(t *testing.T) {
	for _, tt := range []struct {
		store string
		hosts []string
		name  string
	}{
		{"redis+cluster://a:1,b:2,c:3", []string{"a:1", "b:2", "c:3"}, ""},
		{"redis+sentinel://a:1,b:2/app", []string{"a:1", "b:2"}, "app"},
		{"redis+sentinel://a:1,b:2/app/", []string{"a:1", "b:2"}, "app"},
		{"redis+cluster://[::1]:1,[::1]:2", []string{"[::1]:1", "[::1]:2"}, ""},
		{"redis+cluster://a:1,,b:2", nil, ""},
		{"redis+cluster://a,b:2", nil, ""},
		{"redis+cluster://a:1,b:0", nil, ""},
		{"redis+cluster://user:secret@a:1", nil, ""},
		{"redis+cluster://secret@a:1", nil, ""},
		{"redis+sentinel://:secret@a:1/app", nil, ""},
		{"redis+sentinel://a:1/app/2", nil, ""},
		{"redis+sentinel://a:1/app?db=2", nil, ""},
		{"redis+cluster:", nil, ""},
	} {
		hosts, name := nodes(tt.store)
		if !slices.Equal(hosts, tt.hosts) || name != tt.name {
			t.Errorf("nodes(%q): got %q %q, want %q %q", tt.store, hosts, name, tt.hosts, tt.name)
		}
	}
}

// What cannot be read is named, and shows no part of a password, wherever its @, : and / are.
func TestOpenStore_malformed(t *testing.T) {
	for _, store := range []string{
		"postgres://app:hu/sh:hu@sh@127.0.0.1/app",
		"postgres://app:hush@127.0.0.1:hush/app",
		"postgres://app:hush%@127.0.0.1/app",
		"postgres://127.0.0.1/app?password=hush%zz",
		"redis://:hu/sh@127.0.0.1",
		"redis://:hush@127.0.0.1:65536",
	} {
		_, err := openStore(t.Context(), store)
		if err == nil || strings.Contains(err.Error(), "hu") || strings.Contains(err.Error(), "sh@") {
			t.Errorf("%s: got error %v", store, err)
		}
	}
}

// Seed J11 with a store in another process.
func TestSeed_J11_restartRedis(t *testing.T) { checkRestart(t, redistest.Start(t).URL()) }

// checkRestart ends the app in the middle of a sign-in, and goes on with another one on the same store.
func checkRestart(t *testing.T, store string) {
	t.Helper()
	keys := sessionstore.NewKeyring()
	s := newStageWith(t, store, keys)
	b := s.browser()
	leaving := b.submit("/connect", half(b.acceptTerms()))
	again := s.restart(t, store, keys)
	b = &browser{stage: again, c: b.c}
	back := b.approve(leaving, "ada")
	b.shows(back, 200, stillFilled...)
	b.shows(b.submit("/library", whole(back)), 200, "Choose videos", "Nanoseconds")
}

func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store sessionstore.Store
		want  string
	}{
		{"up", pinged{nil}, `"store":"ok"`},
		{"down", pinged{errors.New("refused")}, `"status":"degraded","store":"unreachable"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.app.store = tt.store
			s.browser().shows(s.browser().open("/healthz"), http.StatusOK, tt.want)
		})
	}
}

// pinged is a store whose reachability is err.
type pinged struct{ err error }

func (p pinged) Ping(context.Context) error { return p.err }

func (pinged) Load(context.Context, sessionstore.Key) (sessionstore.Record, error) {
	return sessionstore.Record{}, sessionstore.ErrNotFound
}
func (pinged) Update(context.Context, sessionstore.Key, sessionstore.Change) error { return nil }
func (pinged) Delete(context.Context, ...sessionstore.Key) error                   { return nil }

// A server that is down does not keep the app from starting, and the page says why nothing is saved.
func TestRun_storeDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, dead := l.Addr().String(), "redis://127.0.0.1:1"
	_ = l.Close()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var logs bytes.Buffer
	r, out := io.Pipe()
	ended := make(chan error, 1)
	env := environment{"ADDR": addr, "STORE": dead, "KEYS": key1}
	go func() { ended <- run(ctx, env.get, out, &logs); _ = out.Close() }()
	line := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "Video library:"); {
		n, err := r.Read(line)
		if err != nil {
			t.Fatalf("%v: %v", err, <-ended)
		}
		text += string(line[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "unreachable") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
