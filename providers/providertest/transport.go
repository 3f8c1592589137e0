package providertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"syscall"
)

// Client returns a client that reaches the provider without sockets, with a cookie jar of its own:
// one browser, or one app.
func (s *Server) Client() *http.Client {
	jar, _ := cookiejar.New(nil) // never fails
	return &http.Client{Transport: s.Transport(), Jar: jar}
}

// Transport returns a transport that calls the provider directly: a request is answered in the
// goroutine that sends it, so a test in a testing/synctest bubble has nothing blocked outside it. A
// request to a host other than the issuer's is written into the ledger under "elsewhere" and
// answered with 404.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

func (t transport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := req.Clone(ctx)
	r.Trailer = req.Trailer // which may be filled in while the body is read
	r.Host = or(req.Host, req.URL.Host)
	r.RequestURI = req.URL.RequestURI()
	r.RemoteAddr = "192.0.2.1:1234"
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if r.Body == nil {
		r.Body = http.NoBody
	}
	// net/http's own transport asks for gzip, and hides that it did.
	unzip := r.Header.Get("Accept-Encoding") == "" && r.Header.Get("Range") == ""
	if unzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}

	w := &reply{ctx: ctx, header: http.Header{}}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p != http.ErrAbortHandler {
			panic(p)
		}
		resp, err = nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	if issuer, _ := url.Parse(t.s.cfg.Issuer); issuer.Host != req.URL.Host || issuer.Scheme != req.URL.Scheme {
		t.s.endpoint("elsewhere", http.NotFound).ServeHTTP(w, r)
	} else {
		t.s.ServeHTTP(w, r)
	}
	if err := ctx.Err(); err != nil && w.status == 0 {
		return nil, err
	}
	return w.response(req, unzip)
}

// A reply is an answer in memory. Its body may go on as a stream, read by whoever reads the answer.
type reply struct {
	ctx    context.Context
	status int
	header http.Header // as the handler sees it
	sent   http.Header // as it was when the header was written
	buf    bytes.Buffer
	rest   io.Reader
}

func (w *reply) Header() http.Header { return w.header }

func (w *reply) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.sent = status, maps.Clone(w.header)
	}
}

func (w *reply) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.buf.Write(b)
}

// Flush does nothing: nobody reads yet.
func (w *reply) Flush() {}

func (w *reply) stream(r io.Reader) {
	w.WriteHeader(http.StatusOK)
	w.rest = r
}

func (w *reply) response(req *http.Request, unzip bool) (*http.Response, error) {
	w.WriteHeader(http.StatusOK)
	resp := &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Request: req, ContentLength: -1,
	}
	var body io.Reader = &w.buf
	if w.rest != nil {
		body = io.MultiReader(&w.buf, w.rest)
	} else if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && n > int64(w.buf.Len()) {
		resp.ContentLength = n
		body = io.MultiReader(&w.buf, brokenOff{})
	} else {
		resp.ContentLength = int64(w.buf.Len())
	}
	if unzip && w.sent.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = z
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
	}
	if req.Method == http.MethodHead {
		body = http.NoBody
	}
	resp.Body = &replyBody{Reader: body, ctx: w.ctx}
	return resp, nil
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A replyBody ends with its request, as a real one does.
type replyBody struct {
	io.Reader
	ctx    context.Context
	closed bool
}

func (b *replyBody) Read(p []byte) (int, error) {
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

func (b *replyBody) Close() error {
	b.closed = true
	return nil
}
