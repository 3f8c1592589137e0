package fiberauth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v3"

	"github.com/returnleg/returnleg/middleware"
)

// exchange is one request and its answer as net/http knows them.
type exchange struct {
	w      http.ResponseWriter // of auth.Handler
	r      *http.Request       // of auth.Handler
	answer answer
	fibers bool // the answer is the one that fiber's handlers made
}

// take moves the headers that fiber's handlers have set so far to the answer.
func (x *exchange) take(c fiber.Ctx) {
	h := &c.Response().Header
	fresh := http.Header{}
	for k, v := range h.All() {
		fresh.Add(string(k), string(v))
	}
	for _, name := range []string{"Connection", "Content-Length", "Date", "Server", "Transfer-Encoding"} {
		fresh.Del(name) // fasthttp's own
	}
	for name, values := range fresh {
		if name == "Set-Cookie" {
			values = append(x.answer.header[name], values...)
			h.DelAllCookies()
		}
		x.answer.header[name] = values
	}
}

// conclude begins the answer that fiber's handlers made, which saves the session.
func (x *exchange) conclude(c fiber.Ctx) {
	if x.answer.status != 0 {
		return // a gate or Answer was first
	}
	x.take(c)
	x.w.WriteHeader(c.Response().StatusCode())
	_, err := x.w.Write(nil)
	x.fibers = !errors.Is(err, middleware.ErrNotSaved)
}

// give makes the answer fiber's.
func (x *exchange) give(c fiber.Ctx) {
	if !x.fibers {
		c.Response().Reset()
		c.Status(max(x.answer.status, http.StatusOK))
		c.Response().SetBodyRaw(x.answer.body.Bytes())
	}
	h := &c.Response().Header
	for name, values := range x.answer.header {
		h.Del(name)
		for _, value := range values {
			h.Add(name, value)
		}
	}
}

// answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// request returns the request of c. It copies: fasthttp writes the next request over this one, and a sign-in may last longer.
func request(c fiber.Ctx) (*http.Request, error) {
	q := c.Request()
	uri := string(q.Header.RequestURI())
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: string(q.Header.Method()), URL: u, RequestURI: uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: string(q.Host()), Header: http.Header{}, Body: io.NopCloser(&body{c: c}),
		ContentLength: max(int64(q.Header.ContentLength()), -1), RemoteAddr: c.RequestCtx().RemoteAddr().String(),
	}
	for k, v := range q.Header.All() {
		r.Header.Add(string(k), string(v))
	}
	r.Header.Del("Host")
	return r.WithContext(c.Context()), nil
}

// body reads the body of a request when it is asked for, and copies it then.
type body struct {
	c fiber.Ctx
	r *bytes.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if b.r == nil {
		b.r = bytes.NewReader(bytes.Clone(b.c.Request().Body()))
	}
	return b.r.Read(p)
}
