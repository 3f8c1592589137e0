package ginauth_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	ginauth "github.com/returnleg/returnleg/adapters/gin"
	"github.com/returnleg/returnleg/middleware"
)

func ginApp(auth *middleware.Auth) http.Handler {
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "Everybody may read this.") })
	members := engine.Group("/members", ginauth.Require(auth, middleware.Need{}))
	members.GET("/me", func(c *gin.Context) {
		who, err := ginauth.User(c)
		if err != nil {
			ginauth.Answer(c, err)
			return
		}
		c.String(http.StatusOK, "Hello, %s", who.Identity.Name)
	})
	return ginauth.Handler(auth, engine)
}

func newGin(t *testing.T, routes func(*middleware.Auth, *gin.Engine)) *rig {
	gin.SetMode(gin.ReleaseMode)
	return newRig(t, func(auth *middleware.Auth, l net.Listener) {
		app := ginApp(auth)
		if routes != nil {
			engine := gin.New()
			engine.Use(gin.RecoveryWithWriter(io.Discard))
			routes(auth, engine)
			app = ginauth.Handler(auth, engine)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: app, ErrorLog: log.New(io.Discard, "", 0)}}
		s.Start()
		t.Cleanup(s.Close)
	})
}

func TestSignIn(t *testing.T) {
	g := newGin(t, nil)
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
	g := newGin(t, func(auth *middleware.Auth, e *gin.Engine) {
		outer := e.Group("/a", ginauth.Require(auth, middleware.Need{}))
		inner := outer.Group("/b", func(c *gin.Context) { reached = true })
		inner.GET("/c", func(c *gin.Context) { c.String(http.StatusOK, "%v", reached) })
		e.GET("/fails", func(c *gin.Context) { ginauth.Answer(c, middleware.ErrSignedOut) },
			func(c *gin.Context) { reached = true })
	})
	if resp, _ := g.do(http.MethodGet, "/a/b/c"); resp.StatusCode != http.StatusUnauthorized || reached {
		t.Errorf("a group's gate: %s, handler reached %v", resp.Status, reached)
	}
	if resp, _ := g.do(http.MethodGet, "/fails"); resp.StatusCode != http.StatusUnauthorized || reached {
		t.Errorf("Answer: %s, next handler reached %v", resp.Status, reached)
	}
	if _, got := g.page("/a/b/c"); got != "true" {
		t.Errorf("signed in: %q", got)
	}
}

func TestStream(t *testing.T) {
	g := newGin(t, func(auth *middleware.Auth, e *gin.Engine) {
		e.GET("/stream", ginauth.Require(auth, middleware.Need{}), func(c *gin.Context) {
			auth.Sessions().Put(c.Request.Context(), "seen", "yes")
			n := 0
			c.Stream(func(io.Writer) bool {
				n++
				c.SSEvent("tick", n)
				return n < 3
			})
		})
		e.GET("/seen", func(c *gin.Context) {
			c.String(http.StatusOK, auth.Sessions().GetString(c.Request.Context(), "seen"))
		})
	})
	if resp, got := g.page("/stream"); strings.Count(got, "event:tick") != 3 {
		t.Errorf("stream: %s %q", resp.Status, got)
	}
	if _, got := g.page("/seen"); got != "yes" {
		t.Errorf("what the stream put into the session before it began: %q", got)
	}
}

func TestUpgrade(t *testing.T) {
	g := newGin(t, func(auth *middleware.Auth, e *gin.Engine) {
		e.GET("/socket", ginauth.Require(auth, middleware.Need{}), func(c *gin.Context) {
			who, err := ginauth.User(c)
			if err != nil {
				ginauth.Answer(c, err)
				return
			}
			conn, buf, err := c.Writer.Hijack()
			if err != nil {
				ginauth.Answer(c, err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			line, _ := buf.ReadString('\n')
			fmt.Fprintf(conn, "%s: %s", who.Identity.Name, line)
		})
		e.GET("/", ginauth.Require(auth, middleware.Need{}), func(c *gin.Context) {})
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
	g := newGin(t, func(auth *middleware.Auth, e *gin.Engine) {
		e.GET("/panic", ginauth.Require(auth, middleware.Need{}), func(c *gin.Context) {
			auth.Sessions().Put(c.Request.Context(), "half", "done")
			panic("a bug")
		})
		e.GET("/me", ginauth.Require(auth, middleware.Need{}), func(c *gin.Context) {
			who, _ := ginauth.User(c)
			c.String(http.StatusOK, who.Identity.Name)
		})
	})
	if resp, _ := g.page("/panic"); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("panic: %s", resp.Status)
	}
	if _, got := g.page("/me"); got != "Ada Lovelace" {
		t.Errorf("the request after it: %q", got)
	}
}

// A handler that only sets a status answers with what it put into the session saved.
func TestStatusOnly(t *testing.T) {
	g := newGin(t, func(auth *middleware.Auth, e *gin.Engine) {
		e.POST("/put", func(c *gin.Context) {
			c.Status(http.StatusNoContent)
			auth.Sessions().Put(c.Request.Context(), "k", "v")
		})
		e.GET("/get", func(c *gin.Context) {
			c.String(http.StatusOK, auth.Sessions().GetString(c.Request.Context(), "k"))
		})
	})
	if resp, _ := g.do(http.MethodPost, "/put"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("put: %s", resp.Status)
	}
	if _, got := g.do(http.MethodGet, "/get"); got != "v" {
		t.Errorf("get: %q", got)
	}
}
