package providertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// A Fault stands between a request, which was read and recorded, and the endpoint. It may answer
// itself, call next, or both; r.PostForm has the form of the body. It is a plain function: write
// your own where these are not enough.
type Fault func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)

// Respond answers instead of the endpoint, with pairs of header names and values.
func Respond(status int, contentType, body string, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Fail answers with an error of the protocol: RFC 6749, section 5.2.
func Fail(status int, code string) Fault {
	return Respond(status, "application/json", `{"error":`+strconv.Quote(code)+`}`)
}

// Redirect sends the request away: "" is to [Server.Elsewhere], at another host; "/elsewhere" is at the
// same host.
func Redirect(status int, to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		to := to
		if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok && to == "" {
			to = rec.server.away
		}
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}
}

// Delay waits before the endpoint gets to work, unless the client gives up.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if !wait(r.Context(), d) {
			panic(http.ErrAbortHandler)
		}
		next(w, r)
	}
}

// Linger lets the endpoint do its work and waits before the answer goes out: a code is spent while
// the client still waits.
func Linger(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		a := answer(r, next)
		if !wait(r.Context(), d) {
			panic(http.ErrAbortHandler)
		}
		a.write(w)
	}
}

// Hang never answers. The request ends when its client gives up.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// HangBody sends the header of a good answer and the first half of its body, and no more.
func HangBody(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	a := answer(r, next)
	a.Header.Del("Content-Length")
	half := a.Body[:len(a.Body)/2]
	a.Body = nil
	a.write(w)
	stream(w, io.MultiReader(bytes.NewReader(half), &drip{ctx: r.Context()}))
}

// Reset cuts the connection after the request was read; the endpoint never sees it. Go's own transport
// sends a GET again, once more for each idle connection, and never a POST.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { cut(w) }

// LoseAnswer lets the endpoint do its work, and cuts the connection instead of answering: what was
// rotated or redeemed stays so.
func LoseAnswer(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	answer(r, next)
	cut(w)
}

// Truncate announces a good answer and cuts the connection in the middle of its body.
func Truncate(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	a := answer(r, next)
	a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)+1))
	a.Body = a.Body[:len(a.Body)/2]
	a.write(w)
}

// Drip sends a good answer, one byte at a time.
func Drip(every time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		a := answer(r, next)
		body := a.Body
		a.Header.Del("Content-Length")
		a.Body = nil
		a.write(w)
		stream(w, &drip{ctx: r.Context(), every: every, body: body})
	}
}

// Pad puts n bytes of white space in front of a good answer: the JSON stays valid.
func Pad(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		a := answer(r, next)
		a.Header.Del("Content-Length")
		body := a.Body
		a.Body = nil
		a.write(w)
		stream(w, io.MultiReader(io.LimitReader(spaces{}, n), bytes.NewReader(body)))
	}
}

// GzipBomb sends n bytes of white space and then a good answer, compressed some two hundredfold.
func GzipBomb(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		a := answer(r, next)
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			panic("providertest: gzip: " + err.Error()) // the level is a constant
		}
		_, _ = io.Copy(z, io.LimitReader(spaces{}, n)) // a buffer takes everything
		_, _ = z.Write(a.Body)
		_ = z.Close()
		a.Header.Del("Content-Length")
		a.Header.Set("Content-Encoding", "gzip")
		a.Body = b.Bytes()
		a.write(w)
	}
}

// Rewrite lets the endpoint answer, and changes the answer.
func Rewrite(f func(a *Answer)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		a := answer(r, next)
		a.Header.Del("Content-Length")
		f(a)
		a.write(w)
	}
}

// RewriteBody lets the endpoint answer, and changes the body of the answer.
func RewriteBody(f func(body string) string) Fault {
	return Rewrite(func(a *Answer) { a.Body = []byte(f(string(a.Body))) })
}

// First gives the first n requests to f, and leaves the others alone. It counts from when it is made:
// make one for each server.
func First(n int, f Fault) Fault {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if seen.Add(1) > int64(n) {
			next(w, r)
			return
		}
		f(w, r, next)
	}
}

// When gives f the requests that match, and leaves the others alone.
func When(match func(r *http.Request) bool, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if match(r) {
			f(w, r, next)
			return
		}
		next(w, r)
	}
}

// Grant matches the token requests of a grant type, such as "refresh_token", for [When].
func Grant(grantType string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.PostForm.Get("grant_type") == grantType }
}

// An Answer is an answer on its way out.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// answer has the endpoint answer into memory.
func answer(r *http.Request, next http.HandlerFunc) *Answer {
	w := &reply{header: http.Header{}}
	next(w, r)
	w.WriteHeader(http.StatusOK)
	if w.rest != nil {
		_, _ = io.Copy(&w.buf, w.rest) // what could be read is the answer
	}
	return &Answer{w.status, w.sent, w.buf.Bytes()}
}

func (a *Answer) write(w http.ResponseWriter) {
	for k, v := range a.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.Status)
	if len(a.Body) > 0 {
		_, _ = w.Write(a.Body) // the client's loss
	}
}

// cut ends the connection with a reset where there is one.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if c, ok := conn.(interface{ SetLinger(int) error }); ok {
			_ = c.SetLinger(0)
		}
		_ = conn.Close()
		return
	}
	panic(http.ErrAbortHandler)
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stream sends what r gives while it gives it. In memory it is the reader of the answer who reads r.
func stream(w http.ResponseWriter, r io.Reader) {
	if rec, ok := w.(*recorder); ok {
		w = rec.ResponseWriter
	}
	if m, ok := w.(*reply); ok {
		m.stream(r)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.Flush() // the header goes ahead: the first byte may never come
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		if n > 0 {
			if _, werr := w.Write(b[:n]); werr != nil {
				return
			}
			_ = rc.Flush()
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// A drip gives body a byte at a time, then hangs if it has no rhythm.
type drip struct {
	ctx   context.Context // of the request: a reader has no other way to learn of its end
	every time.Duration
	body  []byte
}

func (d *drip) Read(p []byte) (int, error) {
	if d.every == 0 {
		<-d.ctx.Done()
		return 0, d.ctx.Err()
	}
	if len(d.body) == 0 {
		return 0, io.EOF
	}
	if !wait(d.ctx, d.every) {
		return 0, d.ctx.Err()
	}
	p[0], d.body = d.body[0], d.body[1:]
	return 1, nil
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for n := copy(p, " "); n > 0 && n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
	return len(p), nil
}
