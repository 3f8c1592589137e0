package echoauth_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"

	echoauth "github.com/returnleg/returnleg/adapters/echo"
	"github.com/returnleg/returnleg/middleware"
)

func echoApp(auth *middleware.Auth) http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = echoauth.ErrorHandler(e.HTTPErrorHandler)
	e.GET("/", func(c *echo.Context) error { return c.String(http.StatusOK, "Everybody may read this.") })
	members := e.Group("/members", echoauth.Require(auth, middleware.Need{}))
	members.GET("/me", func(c *echo.Context) error {
		who, err := echoauth.User(c)
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, "Hello, "+who.Identity.Name)
	})
	return auth.Handler(e)
}

func newEcho(t *testing.T, routes func(*middleware.Auth, *echo.Echo)) *rig {
	return newRig(t, func(auth *middleware.Auth, l net.Listener) {
		app := echoApp(auth)
		if routes != nil {
			e := echo.New()
			e.Logger = slog.New(slog.DiscardHandler)
			e.HTTPErrorHandler = echoauth.ErrorHandler(e.HTTPErrorHandler)
			e.Use(echomiddleware.Recover())
			routes(auth, e)
			app = auth.Handler(e)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: app, ErrorLog: log.New(io.Discard, "", 0)}}
		s.Start()
		t.Cleanup(s.Close)
	})
}

func TestSignIn(t *testing.T) {
	g := newEcho(t, nil)
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
}

func TestGate(t *testing.T) {
	reached := false
	g := newEcho(t, func(auth *middleware.Auth, e *echo.Echo) {
		outer := e.Group("/a", echoauth.Require(auth, middleware.Need{}))
		inner := outer.Group("/b", func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error { reached = true; return next(c) }
		})
		inner.GET("/c", func(c *echo.Context) error { return c.String(http.StatusOK, fmt.Sprint(reached)) })
	})
	if resp, _ := g.do(http.MethodGet, "/a/b/c"); resp.StatusCode != http.StatusUnauthorized || reached {
		t.Errorf("a group's gate: %s, handler reached %v", resp.Status, reached)
	}
	if _, got := g.page("/a/b/c"); got != "true" {
		t.Errorf("signed in: %q", got)
	}
}

func TestErrorHandler(t *testing.T) {
	g := newEcho(t, func(auth *middleware.Auth, e *echo.Echo) {
		for path, err := range map[string]error{
			"/signed-out": fmt.Errorf("wrapped: %w", middleware.ErrSignedOut),
			"/teapot":     echo.NewHTTPError(http.StatusTeapot, "short and stout"),
			"/bug":        errors.New("the password is swordfish"),
		} {
			e.GET(path, func(*echo.Context) error { return err })
		}
		e.GET("/answer", func(c *echo.Context) error { return echoauth.Answer(c, middleware.ErrSignedOut) })
		e.GET("/late", func(c *echo.Context) error {
			_ = c.String(http.StatusOK, "begun")
			return middleware.ErrSignedOut
		})
	})
	for _, row := range []struct {
		path   string
		status int
		body   string
	}{
		{"/signed-out", 401, `"reason":"signed_out"`},
		{"/answer", 401, `"reason":"signed_out"`},
		{"/teapot", 418, "short and stout"},
		{"/nowhere", 404, "Not Found"},
		{"/bug", 500, `"reason":"handler"`}, // its text stays in the log
		{"/late", 200, "begun"},
	} {
		resp, got := g.do(http.MethodGet, row.path)
		if resp.StatusCode != row.status || !strings.Contains(got, row.body) || strings.Contains(got, "swordfish") {
			t.Errorf("%s: %s %q", row.path, resp.Status, got)
		}
	}
}

func TestStream(t *testing.T) {
	g := newEcho(t, func(auth *middleware.Auth, e *echo.Echo) {
		e.GET("/stream", func(c *echo.Context) error {
			auth.Sessions().Put(c.Request().Context(), "seen", "yes")
			c.Response().Header().Set("Content-Type", "text/event-stream")
			for n := range 3 {
				fmt.Fprintf(c.Response(), "data: %d\n\n", n)
				if err := http.NewResponseController(c.Response()).Flush(); err != nil {
					return err
				}
			}
			return nil
		}, echoauth.Require(auth, middleware.Need{}))
		e.GET("/seen", func(c *echo.Context) error {
			return c.String(http.StatusOK, auth.Sessions().GetString(c.Request().Context(), "seen"))
		})
	})
	if resp, got := g.page("/stream"); strings.Count(got, "data:") != 3 {
		t.Errorf("stream: %s %q", resp.Status, got)
	}
	if _, got := g.page("/seen"); got != "yes" {
		t.Errorf("what the stream put into the session before it began: %q", got)
	}
}

func TestUpgrade(t *testing.T) {
	g := newEcho(t, func(auth *middleware.Auth, e *echo.Echo) {
		e.GET("/socket", func(c *echo.Context) error {
			who, err := echoauth.User(c)
			if err != nil {
				return err
			}
			conn, buf, err := http.NewResponseController(c.Response()).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			line, _ := buf.ReadString('\n')
			fmt.Fprintf(conn, "%s: %s", who.Identity.Name, line)
			return nil
		}, echoauth.Require(auth, middleware.Need{}))
		e.GET("/", func(c *echo.Context) error { return c.NoContent(http.StatusOK) }, echoauth.Require(auth, middleware.Need{}))
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
	g := newEcho(t, func(auth *middleware.Auth, e *echo.Echo) {
		e.GET("/panic", func(c *echo.Context) error { panic("a bug") }, echoauth.Require(auth, middleware.Need{}))
		e.GET("/me", func(c *echo.Context) error {
			who, err := echoauth.User(c)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, who.Identity.Name)
		})
	})
	if resp, _ := g.page("/panic"); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("panic: %s", resp.Status)
	}
	if _, got := g.page("/me"); got != "Ada Lovelace" {
		t.Errorf("the request after it: %q", got)
	}
}
