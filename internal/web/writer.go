package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
)

// A Hook is called by a [Writer] before its answer begins, and at its end.
type Hook interface {
	// Begin completes the header, and calls [Writer.Start]. An error means that the handler's answer must not
	// follow.
	Begin(status int) error

	// Replace writes an answer in place of the handler's, because Begin returned err.
	Replace(err error)

	// Late is called when the handler returns after its answer has begun.
	Late()
}

// A Writer is the response writer of a handler. It calls its hook once before the answer begins: at the first
// final header, at a flush, and before a connection is taken over. A 1xx status does not begin the answer.
type Writer struct {
	http.ResponseWriter
	Hook    Hook
	Refusal error       // what a write returns after the answer was replaced
	Begun   atomic.Bool // the header has left, or the connection was taken over
	failed  bool        // the answer was replaced
}

// Format writes the name of the type for every verb: the request behind it is not for a log.
func (*Writer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "web.Writer") }

// Unwrap lets http.ResponseController reach the methods of the server's own writer.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Open returns the header while it can still be changed, and nil afterwards.
func (w *Writer) Open() http.Header {
	if w.Begun.Load() {
		return nil
	}
	return w.ResponseWriter.Header()
}

// Start notes that the header is about to leave.
func (w *Writer) Start() { w.Begun.Store(true) }

// begin calls the hook before an answer with that status. It reports whether the handler's answer may follow.
func (w *Writer) begin(status int) bool {
	if w.Begun.Load() {
		return !w.failed
	}
	err := w.Hook.Begin(status)
	if err != nil {
		w.replace(err)
	}
	return err == nil
}

// replace lets the hook write another answer.
func (w *Writer) replace(err error) {
	w.failed = true
	replaced := false
	defer func() {
		if !replaced { // it panicked: a handler that recovers from that begins a new answer
			w.failed = false
			w.Begun.Store(false)
		}
	}()
	DropRepresentation(w.ResponseWriter.Header())
	w.Hook.Replace(err)
	replaced = true
}

// representation lists the headers that describe an answer.
var representation = []string{
	"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Location", "Content-Range", "Content-Type", "Etag", "Expires", "Last-Modified", "Location", "Set-Cookie", "Trailer",
}

// DropRepresentation removes the headers that describe an answer, but for those named in but, because another
// answer follows.
func DropRepresentation(h http.Header, but ...string) {
	for _, name := range representation {
		if !slices.Contains(but, name) {
			delete(h, name)
		}
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *Writer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.begin(status) {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write begins the answer, and writes b unless the answer was replaced.
func (w *Writer) Write(b []byte) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.Refusal
	}
	return w.ResponseWriter.Write(b)
}

// WriteString is Write without a copy, where the server's own writer can do that.
func (w *Writer) WriteString(s string) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.Refusal
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom keeps sendfile: the server's own writer knows how to copy a file.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.Refusal
	}
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// Flush is FlushError without the error, for a caller that asks for an http.Flusher.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError begins the answer, and sends what was written.
func (w *Writer) FlushError() error {
	if !w.begin(http.StatusOK) {
		return w.Refusal
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack begins the answer, and hands the connection over. A cookie that was set is lost unless the handler
// writes the header of this writer itself.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.begin(http.StatusOK) {
		return nil, nil, w.Refusal
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Finish begins the answer of a handler that wrote nothing.
func (w *Writer) Finish() {
	if !w.Begun.Load() {
		w.begin(http.StatusOK)
		return
	}
	if !w.failed {
		w.Hook.Late()
	}
}
