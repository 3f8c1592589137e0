package connection

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/returnleg/returnleg/providers"
)

// An apiError says that an API gave no usable answer: it could not be reached, was cut off, or does not
// speak HTTP. [errors.Is] finds [providers.ErrUnavailable] in it, and what the transport said.
type apiError struct {
	provider string
	err      error
}

// Error quotes what the transport says as far as the text is its own: net/http repeats what it could not
// read.
func (e *apiError) Error() string {
	text := "no usable answer"
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(e.err, context.DeadlineExceeded):
		text = context.DeadlineExceeded.Error()
	case errors.As(e.err, &dns):
		text = dns.Error()
	case errors.As(e.err, &op):
		text = op.Error()
	case errors.Is(e.err, io.ErrUnexpectedEOF), errors.Is(e.err, io.EOF):
		text = "cut off"
	}
	return "middleware: " + e.provider + ": API: " + text
}

// Unwrap returns [providers.ErrUnavailable] and the cause.
func (e *apiError) Unwrap() []error { return []error{providers.ErrUnavailable, e.err} }

// Timeout reports what the cause does, for [url.Error.Timeout].
func (e *apiError) Timeout() bool {
	var ne net.Error
	return errors.As(e.err, &ne) && ne.Timeout()
}

// exchange sends r, which it owns, to the provider's API. Only this place tells an API that is down from a mistake of the
// app: an error of the transport is the API's, unless the app cancelled the request, the request's body failed, or the
// request cannot be sent.
func exchange(c *http.Client, provider string, r *http.Request) (*http.Response, error) {
	var body *sentBody
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil { // with GetBody it is in memory already
		body = &sentBody{ReadCloser: r.Body}
		r.Body = body
	}
	valid := sendable(r)
	resp, err := transportOf(c).RoundTrip(r)
	if err != nil {
		if valid && !body.failed() {
			err = apiDown(provider, err)
		}
		return nil, err
	}
	// A connection that was switched to another protocol is the caller's.
	if resp.Body != nil && resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &receivedBody{ReadCloser: resp.Body, provider: provider}
	}
	return resp, nil
}

// apiDown returns the error of an API whose transport failed with err. The app's own cancellation stays what it is.
func apiDown(provider string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &apiError{provider, err}
}

// sendable reports that net/http has nothing to say against r before it connects.
func sendable(r *http.Request) bool {
	if r.URL == nil || r.URL.Host == "" || r.URL.Scheme != "https" && r.URL.Scheme != "http" || !tokenOf9110(r.Method) {
		return false
	}
	for name, values := range r.Header {
		if name == "" || !tokenOf9110(name) {
			return false
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
	}
	return true
}

// tokenOf9110 reports that s is a token: RFC 9110, section 5.6.2. A method may be empty, which is GET.
func tokenOf9110(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// sentBody is the body of the app's request, and knows whether it failed.
type sentBody struct {
	io.ReadCloser
	broken, closed atomic.Bool
}

// Read implements [io.Reader].
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.closed.Load() { // a transport that has given up may close it in between
		b.broken.Store(true)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *sentBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

func (b *sentBody) failed() bool { return b != nil && b.broken.Load() }

// receivedBody is the body of an API's answer: an error in it is the API's, but for one that comes after
// the app has closed it.
type receivedBody struct {
	io.ReadCloser
	provider string
	closed   atomic.Bool
}

// Read implements [io.Reader].
func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.closed.Load() {
		err = apiDown(b.provider, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *receivedBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
