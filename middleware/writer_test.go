package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// listen serves k on loopback.
func (k *kit) listen() *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { k.handler.ServeHTTP(w, r) }))
	k.t.Cleanup(s.Close)
	return s
}

// over sends b's request through a real connection, and keeps the cookies of the answer.
func (b *browser) over(s *httptest.Server, method, path string) (*http.Response, string) {
	b.k.t.Helper()
	r, err := http.NewRequestWithContext(b.k.t.(*testing.T).Context(), method, s.URL+path, nil)
	if err != nil {
		b.k.t.Fatal(err)
	}
	r.Header = b.request(method, path, nil).Header
	resp, err := s.Client().Do(r)
	if err != nil {
		b.k.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.k.t.Fatal(err)
	}
	b.keep(resp)
	return resp, string(body)
}

// Whatever a handler answers with, what it put into the session before is saved, and the answer is
// as it would be without us.
func TestWriter_answers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("a page\n", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name   string
		method string
		answer func(w http.ResponseWriter, r *http.Request)
		status int
		body   string
	}{
		{"nothing at all", "GET", func(http.ResponseWriter, *http.Request) {}, 200, ""},
		{"Write alone", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, 200, "x"},
		{"empty Write", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }, 200, ""},
		{"WriteString", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, 200, "x"},
		{"WriteHeader", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, 418, ""},
		{"WriteHeader, Write", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("x"))
		}, 418, "x"},
		{"WriteHeader twice", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(200) }, 404, ""},
		{"204", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204, ""},
		{"304", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		}, 304, ""},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, 200, ""},
		{"ReadFrom", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) }, 200, "x"},
		{"sendfile", "GET", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }, 200, strings.Repeat("a page\n", 10_000)},
		{"Flush", "GET", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); _, _ = w.Write([]byte("x")) }, 200, "x"},
		{"Flush by the controller", "GET", func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			_, _ = w.Write([]byte("x"))
		}, 200, "x"},
		{"deadlines by the controller", "GET", func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			if err := errors.Join(c.SetWriteDeadline(time.Now().Add(time.Hour)), c.SetReadDeadline(time.Now().Add(time.Hour)), c.EnableFullDuplex()); err != nil {
				t.Error(err)
			}
			_, _ = w.Write([]byte("x"))
		}, 200, "x"},
		{"TimeoutHandler inside", "GET", func(w http.ResponseWriter, r *http.Request) {
			http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }), time.Minute, "").ServeHTTP(w, r)
		}, 200, "x"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				k.handle("/answer", func(w http.ResponseWriter, r *http.Request) {
					k.auth.Sessions().Put(r.Context(), "a", "1")
					row.answer(w, r)
				})
				b := k.browser()
				resp, body := b.over(k.listen(), row.method, "/answer")
				if resp.StatusCode != row.status || body != row.body {
					t.Errorf("status %d with %d bytes, want %d with %d", resp.StatusCode, len(body), row.status, len(row.body))
				}
				if b.session() == "" || b.get("a") != "1" {
					t.Errorf("cookie %q, a is %q", b.session(), b.get("a"))
				}
				if resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(resp.Header["Vary"], ","), "Cookie") {
					t.Errorf("an answer with a cookie: Cache-Control %q, Vary %q", resp.Header.Get("Cache-Control"), resp.Header["Vary"])
				}
				if strings.Contains(k.log.String(), "late_write") {
					t.Errorf("log: %s", k.log)
				}
			})
		})
	}
}

// What does not look at the session leaves the answer alone.
func TestWriter_untouched(t *testing.T) {
	k := newKit(t)
	k.handle("/static", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	b := k.browser()
	b.signIn("plain", "ada", "/")
	resp := b.open("/static")
	for _, name := range []string{"Set-Cookie", "Vary", "Cache-Control"} {
		if got := resp.Header[name]; got != nil {
			t.Errorf("%s: %q, want none", name, got)
		}
	}
}

// Headers of a 103 are hints: the session is saved with the answer that follows.
func TestWriter_earlyHints(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		w := watch(k)
		notes(k)
		k.handle("/hints", func(rw http.ResponseWriter, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", "1")
			rw.Header().Set("Link", "</style.css>; rel=preload")
			rw.WriteHeader(http.StatusEarlyHints)
			if got := w.writes("session"); got != 0 {
				t.Errorf("%d writes at the hints, want 0", got)
			}
			k.auth.Sessions().Put(r.Context(), "b", "2")
			rw.WriteHeader(http.StatusCreated)
		})
		s := k.listen()
		var hints []int
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, code)
			if len(h["Set-Cookie"]) != 0 {
				t.Errorf("the hints carry a cookie: %v", h)
			}
			return nil
		}}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, s.URL+"/hints", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := k.browser()
		b.keep(resp)
		if resp.StatusCode != http.StatusCreated || len(hints) != 1 || b.get("a") != "1" || b.get("b") != "2" {
			t.Errorf("status %d, hints %v, a %q, b %q", resp.StatusCode, hints, b.get("a"), b.get("b"))
		}
	})
}

// A switch of protocols is an answer, and no hint on the way: the session is saved before.
func TestWriter_switching(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		k.handle("/switch", func(w http.ResponseWriter, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", "1")
			w.WriteHeader(http.StatusSwitchingProtocols)
		})
		b := k.browser()
		if resp := b.open("/switch"); resp.StatusCode != http.StatusSwitchingProtocols || b.get("a") != "1" {
			t.Errorf("status %d, a is %q", resp.StatusCode, b.get("a"))
		}
	})
}

// A connection that is taken over: the session is saved before.
func TestWriter_hijack(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		hijack := map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
			"/hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
			"/controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
				return http.NewResponseController(w).Hijack()
			},
		}
		s := k.listen()
		b := k.browser()
		b.signIn("plain", "ada", "/")
		for path, f := range hijack {
			var done sync.WaitGroup
			done.Add(1)
			k.handle(path, func(w http.ResponseWriter, r *http.Request) {
				defer done.Done()
				k.auth.Sessions().Put(r.Context(), "a", path)
				conn, rw, err := f(w)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw")
				_ = rw.Flush()
				if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("a write after it returns %v", err)
				}
				k.auth.Sessions().Put(r.Context(), "b", path)
				if err := middleware.Save(r.Context()); err != nil {
					t.Errorf("Save after it: %v", err)
				}
			})
			if _, body := b.over(s, http.MethodGet, path); body != "raw" {
				t.Errorf("body %q", body)
			}
			done.Wait()
			if b.get("a") != path || b.get("b") != path {
				t.Errorf("a %q, b %q", b.get("a"), b.get("b"))
			}
		}
	})
}

// A session that cannot be saved: the handler's answer does not leave.
func TestWriter_commitFails(t *testing.T) {
	boom := errors.New("boom")
	rows := []struct {
		name   string
		err    error
		reason string
	}{
		{"store down", boom, "store"},
		{"store full", sessionstore.ErrFull, "store_full"},
	}
	answers := map[string]func(w http.ResponseWriter) error{
		"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte("welcome")); return err },
		"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, "welcome"); return err },
		"ReadFrom":    func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("welcome")); return err },
		"WriteHeader": func(w http.ResponseWriter) error {
			w.WriteHeader(200)
			_, err := w.Write([]byte("welcome"))
			return err
		},
		"Flush":   func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
		"Hijack":  func(w http.ResponseWriter) error { _, _, err := http.NewResponseController(w).Hijack(); return err },
		"nothing": func(http.ResponseWriter) error { return middleware.ErrNotSaved },
	}
	for _, row := range rows {
		for how, answer := range answers {
			t.Run(row.name+": "+how, func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					w := watch(k)
					notes(k)
					var got error
					k.handle("/buy", func(w http.ResponseWriter, r *http.Request) {
						k.auth.Sessions().Put(r.Context(), "a", "1")
						h := w.Header()
						h.Set("Content-Type", "text/plain")
						h.Set("Etag", `"1"`)
						h.Set("Content-Length", "7")
						h.Set("Location", "/bought")
						http.SetCookie(w, &http.Cookie{Name: "bought", Value: "yes"})
						got = answer(w)
					})
					for _, signedIn := range []bool{true, false} {
						b := k.browser()
						if signedIn {
							b.signIn("plain", "ada", "/")
						}
						w.on(func(op string, _ sessionstore.Key) error {
							if op == "update" {
								return row.err
							}
							return nil
						})
						for _, r := range []*http.Request{b.request("GET", "/buy", nil), with(b.request("GET", "/buy", nil), map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"})} {
							resp := b.do(r)
							h := resp.Header
							if resp.StatusCode != 503 || h.Get("Retry-After") == "" || h.Get("Cache-Control") != "no-store" {
								t.Errorf("status %d, %v", resp.StatusCode, h)
							}
							if len(h["Set-Cookie"]) != 0 || h.Get("Etag") != "" || h.Get("Location") != "" || strings.Contains(text(resp), "welcome") || h.Get("Content-Length") == "7" {
								t.Errorf("something of the handler's answer is left: %v %s", h, text(resp))
							}
							if !errors.Is(got, middleware.ErrNotSaved) {
								t.Errorf("the handler is told %v, want ErrNotSaved", got)
							}
						}
						w.down(false)
						if !strings.Contains(k.log.String(), "reason="+row.reason+" ") {
							t.Errorf("log: %s", k.log)
						}
						if got := b.get("a"); got != "" {
							t.Errorf("a is %q", got)
						}
					}
				})
			})
		}
	}
}

// A stream saves as it goes; what comes too late for a cookie is an error; what nobody saves is logged.
func TestWriter_stream(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		sm := k.auth.Sessions()
		k.handle("/stream", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			for i := range 3 {
				sm.Put(r.Context(), "seen", fmt.Sprint(i))
				if err := middleware.Save(r.Context()); err != nil {
					fmt.Fprint(w, "error: ", err)
					return
				}
			}
			fmt.Fprint(w, "saved")
		})
		k.handle("/late", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			sm.Put(r.Context(), "late", "1")
		})
		k.handle("/read", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			_ = sm.Get(r.Context(), "late")
		})
		k.handle("/renew", func(w http.ResponseWriter, r *http.Request) {
			_ = sm.RenewToken(r.Context())
			fmt.Fprint(w, "x")
		})
		s := k.listen()
		b := k.browser()
		if _, body := b.over(s, "GET", "/stream"); !strings.Contains(body, "error: middleware: session not saved") || b.session() != "" {
			t.Errorf("without a session: %q, cookie %q", body, b.session())
		}
		b.over(s, "GET", "/renew")
		if strings.Contains(k.log.String(), "path=/renew") {
			t.Errorf("log of RenewToken in time, by nobody: %s", k.log)
		}
		b.signIn("plain", "ada", "/")
		if _, body := b.over(s, "GET", "/stream"); !strings.HasSuffix(body, "saved") || b.get("seen") != "2" {
			t.Errorf("with a session: %q, seen %q", body, b.get("seen"))
		}
		b.over(s, "GET", "/read")
		b.over(s, "GET", "/renew")
		if n := strings.Count(k.log.String(), "late_write"); n != 1 { // the first stream
			t.Errorf("%d warnings, want 1: %s", n, k.log)
		}
		b.over(s, "GET", "/late")
		if n := strings.Count(k.log.String(), "late_write"); n != 2 || b.get("late") != "" {
			t.Errorf("%d warnings, want 2, late is %q: %s", n, b.get("late"), k.log)
		}
	})
}

// hooked is a log handler that calls a function for each event.
type hooked struct {
	slog.Handler
	f func(event string)
}

func (h hooked) Handle(ctx context.Context, r slog.Record) error {
	h.f(r.Message)
	return h.Handler.Handle(ctx, r)
}

// written is a recorder that says when the header leaves.
type written struct {
	*httptest.ResponseRecorder
	left *atomic.Bool
}

func (w written) WriteHeader(status int) {
	w.left.Store(true)
	w.ResponseRecorder.WriteHeader(status)
}

// A handler that works on in another goroutine when the answer begins, as under an http.TimeoutHandler: its
// Save sets a cookie that this answer brings, or says that it cannot, and does not write into a header that
// is being sent.
func TestWriter_saveElsewhere(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		var hook func(event string)
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.Logger = slog.New(hooked{c.Logger.Handler(), func(event string) {
				if hook != nil {
					hook(event)
				}
			}})
		})
		w := watch(k)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		saving, saved, left := make(chan struct{}), make(chan error, 1), new(atomic.Bool)
		k.handle("/bye", func(w http.ResponseWriter, r *http.Request) {
			hook = func(event string) { // what was to be saved is, and the header has not left
				if event != "returnleg: signed out" {
					return
				}
				go func() {
					k.auth.Sessions().Put(r.Context(), "flash", "bye")
					saved <- middleware.Save(r.Context())
				}()
				<-saving
			}
			_ = middleware.SignOut(r.Context())
			w.WriteHeader(http.StatusOK)
		})
		var once sync.Once
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "session" {
				once.Do(func() { close(saving) })
				for i := 0; i < 10_000 && !left.Load(); i++ { // time enough for the header to leave, if it would
					runtime.Gosched()
				}
			}
			return nil
		})
		rec := httptest.NewRecorder()
		k.handler.ServeHTTP(written{rec, left}, b.request(http.MethodGet, "/bye", nil))
		err, cookie := <-saved, sessionCookies(rec.Result())
		if set := len(cookie) == 1 && cookie[0].MaxAge > 0; set != (err == nil) || err != nil && !errors.Is(err, middleware.ErrNotSaved) {
			t.Errorf("Save: %v, and the answer has %v", err, cookie)
		}
	})
}

// Sign-out in a stream ends the session; the cookie that is left opens nothing.
func TestWriter_signOutLate(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.handle("/bye", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "x")
			if err := errors.Join(middleware.SignOut(r.Context()), middleware.Save(r.Context())); err != nil {
				t.Error(err)
			}
			if _, err := middleware.User(r.Context()); !errors.Is(err, middleware.ErrSignedOut) {
				t.Errorf("User: %v, want ErrSignedOut", err)
			}
		})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		b.open("/bye")
		if b.session() == "" || b.whoami() != "nobody" {
			t.Errorf("cookie %q opens %q", b.session(), b.whoami())
		}
	})
}

// Signing out in time: the record goes, and the cookie.
func TestSignOut(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		w := watch(k)
		k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
		b := k.browser()
		if resp := b.open("/bye"); len(resp.Cookies()) != 0 || w.writes("") != 0 {
			t.Errorf("nobody signs out: %v, %d writes", resp.Header, w.writes(""))
		}
		b.signIn("plain", "ada", "/")
		cs := sessionCookies(b.open("/bye"))
		if len(cs) != 1 || cs[0].Name != "__Host-rl" || cs[0].MaxAge != -1 || w.records("session") != 0 {
			t.Errorf("cookies %v, %d sessions", cs, w.records("session"))
		}
		b.signIn("plain", "ada", "/")
		w.down(true)
		if resp := b.post("/auth/logout", url.Values{}); resp.StatusCode != 503 || b.session() == "" {
			t.Errorf("store down: status %d, cookie %q", resp.StatusCode, b.session())
		}
		w.down(false)
		if got := b.whoami(); got != "Ada Lovelace" {
			t.Errorf("%q, want the session that could not be ended", got)
		}
	})
}
