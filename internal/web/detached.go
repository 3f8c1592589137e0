package web

import (
	"maps"
	"net/http"
)

// A DetachedWriter is a response writer with a header of its own, for work that may outlast its request.
type DetachedWriter struct {
	http.ResponseWriter
	header http.Header
}

// Detach returns a writer whose header is a copy of that of w.
func Detach(w http.ResponseWriter) DetachedWriter { return DetachedWriter{w, w.Header().Clone()} }

// Header returns the header of w itself.
func (w DetachedWriter) Header() http.Header { return w.header }

// Join replaces the content of to by the header of w.
func (w DetachedWriter) Join(to http.Header) {
	clear(to)
	maps.Copy(to, w.header)
}
