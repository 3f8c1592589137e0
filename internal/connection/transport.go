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

// A tokenTransport notes what became of the one request of a refresh that carries the token: whoever sends it
// again without an answer may send one that was traded already.
type tokenTransport struct {
	base http.RoundTripper
	hold *hold // without which nothing is sent

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

// tooLate reports that the request was held back.
func (w *tokenTransport) tooLate() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// verdict is what a refresh came to.
type verdict uint8

const (
	renewed  verdict = iota
	spent            // invalid_grant
	refused          // any other error code: somebody has to look at the configuration
	busy             // nothing was traded: try again
	lost             // no answer: it may have been traded
	unusable         // traded, for something that does not verify
	foreign          // traded, for somebody else's
	unsent           // nobody was asked
)

// judge returns what err stands for.
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
	return busy // not sent, or a page in the place of an answer
}

// dialing reports that nothing was sent, because there was no connection.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.As(err, &cert)
}

// tokenAnswer reports that an answer is of a type that tokens come in, and not a page about something else.
func tokenAnswer(resp *http.Response) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return false
	}
	return t == "application/x-www-form-urlencoded" || t == "text/plain" ||
		strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "json")
}

// transportOf returns what c sends requests by.
func transportOf(c *http.Client) http.RoundTripper {
	if c.Transport == nil {
		return http.DefaultTransport
	}
	return c.Transport
}
