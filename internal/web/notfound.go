package web

import (
	"net/http"
	"strings"
)

// A NotFoundWriter is a response writer that drops a 404 of the app, so that the kit can answer with a page
// that says what may be wrong.
type NotFoundWriter struct {
	http.ResponseWriter
	Lost  bool // the app has answered 404
	begun bool
}

// WriteHeader sends the header, unless status is 404.
func (w *NotFoundWriter) WriteHeader(status int) {
	w.Lost = w.Lost || !w.begun && status == http.StatusNotFound
	w.begun = w.begun || status >= 200
	if !w.Lost {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write sends b, or drops it after a 404.
func (w *NotFoundWriter) Write(b []byte) (int, error) {
	if w.Lost {
		return len(b), nil
	}
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the methods of the writer behind it.
func (w *NotFoundWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// CutLast is [strings.Cut] at the last sep in s.
func CutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
