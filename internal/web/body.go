package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
)

// maxOwnForm is the longest form that the kit's own addresses accept, in bytes. It is more than they need: a
// few names, and a path to return to.
const maxOwnForm = 64 << 10

// bodyTime is how long the body of a request to one of the kit's own addresses may take, whatever the timeouts
// of the app's server are.
const bodyTime = 10 * time.Second

var errSlow = errors.New("web: the body did not come in time")

// LimitBody gives the body of r at most bodyTime. It matters for a body that no handler reads, too: net/http
// waits for a part of it before it answers. The next request of the connection has the deadlines of the server
// again.
func LimitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
}

// ReadBody reads the body of r, of at most limit bytes. Its error is a [*reason.Error].
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	b, err := readWithin(w, http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	var slow interface{ Timeout() bool }
	switch {
	case err == nil:
		return b, nil
	case errors.As(err, &tooLarge):
		return nil, reason.New(reason.TooLarge, err)
	case errors.Is(err, errSlow), errors.As(err, &slow) && slow.Timeout():
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // RFC 9110, section 15.5.9: the rest of the body may still come
		}
		return nil, reason.New(reason.TooSlow, errSlow)
	}
	return nil, reason.New(reason.Parameter, err)
}

// readWithin reads all of body within bodyTime. Where w takes no deadline and the time is over, the read goes
// on until the server closes the body after the answer.
func readWithin(w http.ResponseWriter, body io.Reader) ([]byte, error) {
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
		b, err := io.ReadAll(body)
		if err == nil { // after an error, the deadline keeps net/http from waiting for the rest
			_ = c.SetReadDeadline(time.Time{})
		}
		return b, err
	}
	type read struct {
		b   []byte
		err error
	}
	done := make(chan read, 1)
	go func() {
		b, err := io.ReadAll(body)
		done <- read{b, err}
	}()
	late := time.NewTimer(bodyTime)
	defer late.Stop()
	select {
	case r := <-done:
		return r.b, r.err
	case <-late.C:
		return nil, errSlow
	}
}

// ReadForm reads a form that was sent to one of the kit's own addresses. Its error is a [*reason.Error].
func ReadForm(w http.ResponseWriter, r *http.Request) error {
	b, err := ReadBody(w, r, maxOwnForm)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	if err := r.ParseForm(); err != nil {
		return reason.New(reason.Parameter, err)
	}
	return nil
}
