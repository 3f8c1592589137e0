package connection

import (
	"crypto/tls"
	"errors"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/returnleg/returnleg/providers"
)

// A tokenTransport notes how the one request of a renewal ended that carries the refresh token. After a request without
// an answer, the provider may have replaced the token already.
type tokenTransport struct {
	base http.RoundTripper
	hold *hold // must stand, or nothing is sent

	mu     sync.Mutex
	late   bool // not sent, because the mark may be another's by now
	sent   bool
	status int  // 0: no answer
	form   bool // the answer is of the type that tokens come in
}

// RoundTrip implements [http.RoundTripper].
func (w *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return w.base.RoundTrip(r)
	}
	if !w.hold.stands() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.late = true
		return nil, errLate
	}
	resp, err := w.base.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.sent = !dialing(err)
		return nil, err
	}
	w.sent, w.status, w.form = true, resp.StatusCode, tokenAnswer(resp)
	return resp, nil
}

var errLate = errors.New("middleware: refresh: the mark has not been renewed in time")

// tooLate reports whether the request was not sent, because the mark was not renewed in time.
func (w *tokenTransport) tooLate() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// A verdict is how a request of a renewal ended.
type verdict uint8

const (
	renewed  verdict = iota
	spent            // invalid_grant
	refused          // any other error code: the configuration is to be checked
	busy             // the token was not used: try again
	lost             // no answer: the token may have been used
	unusable         // the token was used, and the answer does not verify
	foreign          // the token was used, and the answer is about another person
	unsent           // the provider was not asked
)

// judge returns the verdict on a Refresh that ended with err.
func (w *tokenTransport) judge(err error) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	var e *providers.Error
	coded := errors.As(err, &e)
	traded := w.status == http.StatusOK && w.form
	switch {
	case err == nil:
		return renewed
	case errors.Is(err, providers.ErrNoRefresh):
		return spent
	case coded && errors.Is(err, providers.ErrUnavailable):
		return busy
	case coded && e.Code == "invalid_grant":
		return spent
	case coded:
		return refused
	case errors.Is(err, providers.ErrSubject):
		return foreign
	case errors.Is(err, providers.ErrUnavailable) && traded, w.sent && w.status == 0:
		return lost
	case errors.Is(err, providers.ErrToken) && (traded || !w.sent):
		return unusable
	}
	return busy // not sent, or answered by a page
}

// dialing reports whether err says that there was no connection, so that nothing was sent.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.As(err, &cert)
}

// tokenAnswer reports whether an answer has a type in which tokens come, and is not a page.
func tokenAnswer(resp *http.Response) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return false
	}
	return t == "application/x-www-form-urlencoded" || t == "text/plain" ||
		strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "json")
}

// transportOf returns the transport of c.
func transportOf(c *http.Client) http.RoundTripper {
	if c.Transport == nil {
		return http.DefaultTransport
	}
	return c.Transport
}
