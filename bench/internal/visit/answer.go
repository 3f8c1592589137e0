package visit

import "net/http"

// An Answer is a response writer that keeps the header and counts the body.
type Answer struct {
	header http.Header
	status int
	size   int
}

var _ http.ResponseWriter = (*Answer)(nil)

// NewAnswer returns an answer that has not begun.
func NewAnswer() *Answer { return &Answer{header: http.Header{}} }

// Header implements http.ResponseWriter.
func (a *Answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *Answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *Answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.size += len(b)
	return len(b), nil
}

// Status returns the status of the answer, and 0 before it began.
func (a *Answer) Status() int { return a.status }

// Location returns where the answer sends the browser, or "".
func (a *Answer) Location() string { return a.header.Get("Location") }
