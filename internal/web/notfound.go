package web

import (
	"net/http"
	"strings"
)

// A NotFoundWriter holds back the app's 404, for a page that says what may be wrong.
type NotFoundWriter struct {
	http.ResponseWriter
	Lost, begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *NotFoundWriter) WriteHeader(status int) {
	w.Lost = w.Lost || !w.begun && status == http.StatusNotFound
	w.begun = w.begun || status >= 200
	if !w.Lost {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *NotFoundWriter) Write(b []byte) (int, error) {
	if w.Lost {
		return len(b), nil
	}
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap serves [http.ResponseController].
func (w *NotFoundWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func CutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
