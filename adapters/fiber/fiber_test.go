package fiberauth_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"
	fiberrecover "github.com/gofiber/fiber/v3/middleware/recover"

	fiberauth "github.com/returnleg/returnleg/adapters/fiber"
	"github.com/returnleg/returnleg/middleware"
)

func fiberApp(auth *middleware.Auth) *fiber.App {
	app := fiber.New()
	app.Use(fiberrecover.New(), fiberauth.New(auth))
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("Everybody may read this.") })
	members := app.Group("/members", fiberauth.Require(auth, middleware.Need{}))
	members.Get("/me", func(c fiber.Ctx) error {
		who, err := fiberauth.User(c)
		if err != nil {
			return fiberauth.Answer(c, err)
		}
		return c.SendString("Hello, " + who.Identity.Name)
	})
	return app
}

func newFiber(t *testing.T, routes func(*middleware.Auth, *fiber.App)) *rig {
	return newRig(t, func(auth *middleware.Auth, l net.Listener) {
		app := fiberApp(auth)
		if routes != nil {
			app = fiber.New()
			app.Use(fiberrecover.New(), fiberauth.New(auth))
			routes(auth, app)
		}
		done := make(chan error, 1)
		go func() { done <- app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) }()
		t.Cleanup(func() {
			if err := errors.Join(app.Shutdown(), <-done); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestSignIn(t *testing.T) {
	g := newFiber(t, nil)
	if _, got := g.page("/"); got != "Everybody may read this." {
		t.Errorf("open page: %q", got)
	}
	if resp, got := g.do(http.MethodGet, "/members/me"); resp.StatusCode != http.StatusUnauthorized ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("script: %s %q", resp.Status, got)
	}
	if resp, got := g.page("/members/me"); got != "Hello, Ada Lovelace" || resp.Request.URL.Path != "/members/me" {
		t.Errorf("page: %s %q", resp.Request.URL, got)
	}
	if resp, got := g.do(http.MethodGet, "/auth/status"); !strings.Contains(got, `"signed_in":true`) {
		t.Errorf("status: %s %q", resp.Status, got)
	}
	if resp, _ := g.do(http.MethodPost, "/auth/logout", "Sec-Fetch-Site: same-origin"); resp.StatusCode != http.StatusOK {
		t.Errorf("logout: %s", resp.Status)
	}
	if resp, _ := g.do(http.MethodGet, "/members/me"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("signed out: %s", resp.Status)
	}
}

func TestGate(t *testing.T) {
	reached := false
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		outer := app.Group("/a", fiberauth.Require(auth, middleware.Need{}))
		inner := outer.Group("/b", func(c fiber.Ctx) error { reached = true; return c.Next() })
		inner.Get("/c", func(c fiber.Ctx) error { return c.SendString(fmt.Sprint(reached)) })
		sub := fiber.New()
		sub.Get("/d", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error { return c.SendString("sub") })
		app.Use("/sub", sub)
	})
	for _, path := range []string{"/a/b/c", "/sub/d"} {
		if resp, _ := g.do(http.MethodGet, path); resp.StatusCode != http.StatusUnauthorized || reached {
			t.Errorf("%s: %s, handler reached %v", path, resp.Status, reached)
		}
	}
	if _, got := g.page("/a/b/c"); got != "true" {
		t.Errorf("group: %q", got)
	}
	if resp, got := g.page("/sub/d"); got != "sub" || resp.Request.URL.Path != "/sub/d" {
		t.Errorf("mounted app: %s %q", resp.Request.URL, got)
	}
}

func TestAnswers(t *testing.T) {
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		app.Get("/signed-out", func(c fiber.Ctx) error {
			c.Set("X-App", "kept")
			return fiberauth.Answer(c, middleware.ErrSignedOut)
		})
		app.Get("/teapot", func(c fiber.Ctx) error { return fiber.NewError(http.StatusTeapot, "short and stout") })
		app.Post("/put", func(c fiber.Ctx) error {
			auth.Sessions().Put(c.Context(), "k", string(c.Body()))
			c.Cookie(&fiber.Cookie{Name: "app", Value: "cookie"})
			c.Set("X-App", "kept")
			return c.Status(http.StatusCreated).JSON(fiber.Map{"ok": true})
		})
		app.Get("/get", func(c fiber.Ctx) error { return c.SendString(auth.Sessions().GetString(c.Context(), "k")) })
	})
	if resp, got := g.do(http.MethodGet, "/signed-out"); resp.StatusCode != 401 || !strings.Contains(got, `"signed_out"`) || resp.Header.Get("X-App") != "kept" {
		t.Errorf("Answer: %s %q %v", resp.Status, got, resp.Header)
	}
	if resp, got := g.do(http.MethodGet, "/teapot"); resp.StatusCode != http.StatusTeapot || got != "short and stout" {
		t.Errorf("fiber's error: %s %q", resp.Status, got)
	}
	if resp, _ := g.do(http.MethodGet, "/nowhere"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no route: %s", resp.Status)
	}
	resp, err := g.client.Post(g.url+"/put", "text/plain", strings.NewReader("value"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if h := resp.Header; resp.StatusCode != 201 || string(body) != `{"ok":true}` || h.Get("X-App") != "kept" ||
		!strings.HasPrefix(h.Get("Content-Type"), "application/json") || len(h.Values("Set-Cookie")) != 2 || h.Get("Cache-Control") == "" {
		t.Errorf("put: %s %q %v", resp.Status, body, h)
	}
	if _, got := g.do(http.MethodGet, "/get"); got != "value" {
		t.Errorf("get: %q", got)
	}
}

// A change of the session that cannot be kept refuses the answer of the handler.
func TestNotSaved(t *testing.T) {
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		app.Post("/put", func(c fiber.Ctx) error {
			auth.Sessions().Put(c.Context(), "k", func() {}) // no function can be stored
			return c.SendString("done")
		})
	})
	if resp, got := g.do(http.MethodPost, "/put"); resp.StatusCode < 400 || strings.Contains(got, "done") {
		t.Errorf("put: %s %q", resp.Status, got)
	}
}

func TestStream(t *testing.T) {
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		app.Get("/stream", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error {
			auth.Sessions().Put(c.Context(), "seen", "yes")
			ctx := c.Context()
			c.Set("Content-Type", "text/event-stream")
			return c.SendStreamWriter(func(w *bufio.Writer) {
				who, err := middleware.User(ctx) // the request is over, its context still answers
				if err != nil {
					fmt.Fprintln(w, err)
					return
				}
				for range 3 {
					fmt.Fprintf(w, "data: %s\n\n", who.Identity.Name)
					if w.Flush() != nil {
						return
					}
				}
			})
		})
		app.Get("/seen", func(c fiber.Ctx) error { return c.SendString(auth.Sessions().GetString(c.Context(), "seen")) })
	})
	if resp, got := g.page("/stream"); strings.Count(got, "data: Ada Lovelace") != 3 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("stream: %s %q", resp.Status, got)
	}
	if _, got := g.page("/seen"); got != "yes" {
		t.Errorf("what the handler put into the session: %q", got)
	}
}

func TestUpgrade(t *testing.T) {
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		app.Get("/socket", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error {
			who, err := fiberauth.User(c)
			if err != nil {
				return fiberauth.Answer(c, err)
			}
			c.Set("Connection", "Upgrade")
			c.Set("Upgrade", "websocket")
			c.RequestCtx().Hijack(func(conn net.Conn) {
				line, _ := bufio.NewReader(conn).ReadString('\n')
				fmt.Fprintf(conn, "%s: %s", who.Identity.Name, line)
			})
			return c.SendStatus(http.StatusSwitchingProtocols)
		})
		app.Get("/", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error { return nil })
	})
	if status, _ := g.upgrade("/socket", "hello"); status != "401 Unauthorized" {
		t.Errorf("signed out: %s", status)
	}
	g.page("/")
	if status, got := g.upgrade("/socket", "hello"); got != "Ada Lovelace: hello" {
		t.Errorf("signed in: %s %q", status, got)
	}
}

func TestPanic(t *testing.T) {
	g := newFiber(t, func(auth *middleware.Auth, app *fiber.App) {
		app.Get("/panic", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error { panic("a bug") })
		app.Get("/me", func(c fiber.Ctx) error {
			who, err := fiberauth.User(c)
			if err != nil {
				return fiberauth.Answer(c, err)
			}
			return c.SendString(who.Identity.Name)
		})
	})
	if resp, _ := g.page("/panic"); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("panic: %s", resp.Status)
	}
	if _, got := g.page("/me"); got != "Ada Lovelace" {
		t.Errorf("the request after it: %q", got)
	}
}

// Without New before it, a gate lets nobody through.
func TestGateAlone(t *testing.T) {
	newRig(t, func(auth *middleware.Auth, l net.Listener) {
		l.Close()
		app := fiber.New()
		app.Get("/", fiberauth.Require(auth, middleware.Need{}), func(c fiber.Ctx) error { return c.SendString("open") })
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		resp, err := app.Test(r)
		if err != nil || resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
