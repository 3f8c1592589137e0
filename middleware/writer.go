package middleware

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/returnleg/returnleg/internal/values"
)

// writer is the response writer of a handler. It saves the session before the answer begins: at
// the first final header, at a flush, and before a connection is taken over. Not at 1xx: those are
// hints on the way. When the session cannot be saved, an error takes the answer's place.
type writer struct {
	http.ResponseWriter
	q      *request
	varied atomic.Bool // somebody looked at the session
	begun  atomic.Bool // the header has left, or was taken over
	failed error       // the answer was replaced
}

// Format writes what it is, for every verb: behind it is the request.
func (*writer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "middleware.writer") }

// Unwrap lets http.ResponseController reach what this writer does not do itself.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// open returns the header while it can still be changed, and nil afterwards.
func (w *writer) open() http.Header {
	if w.begun.Load() {
		return nil
	}
	return w.ResponseWriter.Header()
}

// begin saves the session, before an answer with that status. It reports whether the handler's answer may follow.
func (w *writer) begin(status int) bool {
	if w.begun.Load() {
		return w.failed == nil
	}
	a := w.q.auth
	err := w.q.commit(status)
	h := w.ResponseWriter.Header()
	// Whoever calls Save in another goroutine, as under an http.TimeoutHandler, sets a cookie before
	// this or not at all: two writers of one header end the process.
	w.q.mu.Lock()
	a.dropForeign(h)
	if w.q.inherited {
		a.former.clear(&a.cookies, h)
	}
	if err == nil {
		w.q.notePassed(h)
	}
	if a.cookies.sets(h) {
		uncached(h)
	}
	if w.varied.Load() {
		vary(h)
	}
	if err == nil {
		w.q.reloadPage(h, status)
	}
	w.begun.Store(true)
	w.q.mu.Unlock()
	if err != nil {
		w.replace(err)
	}
	return err == nil
}

// replace writes that the session could not be saved, in place of the handler's answer.
func (w *writer) replace(err error) {
	w.failed = ErrNotSaved
	replaced := false
	defer func() {
		if !replaced { // ErrorPage fell, and who recovers from that begins anew: nothing says yet that it was saved
			w.failed = nil
			w.begun.Store(false)
		}
	}()
	h := w.ResponseWriter.Header()
	for _, name := range representation {
		delete(h, name)
	}
	p := problem(storing(err), err)
	if errors.Is(err, ErrNotSaved) {
		p = w.q.notSaved(err)
	}
	w.q.auth.refuse(w.ResponseWriter, w.q.r, p)
	replaced = true
}

// storing returns the reason of an error of the store, or of a value that it cannot take.
func storing(err error) Reason {
	if unstorable := (*values.TypeError)(nil); errors.As(err, &unstorable) {
		return ReasonValue
	}
	return ReasonStore
}

// representation are the headers that describe the answer which is replaced.
var representation = []string{
	"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Location", "Content-Range", "Content-Type", "Etag", "Expires", "Last-Modified", "Location", "Set-Cookie", "Trailer",
}

var varyCookie = []string{"Cookie"}

// vary says that the answer depends on the cookie.
func vary(h http.Header) {
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyCookie[:1:1]
		return
	}
	if !slices.Contains(h["Vary"], "Cookie") {
		h.Add("Vary", "Cookie")
	}
}

func (w *writer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.begin(status) {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writer) Write(b []byte) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.failed
	}
	return w.ResponseWriter.Write(b)
}

// WriteString avoids a copy where the server does.
func (w *writer) WriteString(s string) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.failed
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom keeps sendfile: the server's own writer knows how to copy a file.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.failed
	}
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// Flush is FlushError without the error, for those who ask for an http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError sends what was written; the answer begins, if it has not.
func (w *writer) FlushError() error {
	if !w.begin(http.StatusOK) {
		return w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack hands the connection over. The session is saved first; a cookie that it needs is lost,
// unless the handler writes the header of this writer itself.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.begin(http.StatusOK) {
		return nil, nil, w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// finish saves the session of a handler that wrote nothing, and notices what one changed too late.
func (w *writer) finish() {
	if !w.begun.Load() {
		w.begin(http.StatusOK)
		return
	}
	if w.failed == nil {
		w.q.late()
	}
}
