package providers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"golang.org/x/oauth2"
)

const (
	defaultTimeout = 10 * time.Second
	maxBody        = 1 << 20  // of any answer, after decompression
	maxRoom        = 16 << 10 // that is made for an answer before it comes
)

// A party is the app as one provider knows it: what [OAuth2] and [OIDC] have in common.
type party struct {
	name        string
	id          string
	secret      Secret
	method      AuthMethod
	authParams  url.Values
	tokenParams url.Values
	mode        string // response_mode
	timeout     time.Duration
	client      *http.Client // used if the context carries none
	issuer      string       // host of the issuer whose metadata names the endpoints; "" if configured
	tokenForm   bool
	commaScopes bool
	spent       []string
}

// A reply is an answer of the provider, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	from   string // method and URL of the request
}

// explain adds to err what the answer was, where it was no answer of its kind.
func (r *reply) explain(err error) error {
	if r.status == 200 && !isJSON(r.header) {
		return fault.Explain(err, "%s answered 200 with content of type %s, and not JSON", r.from, fault.Quoted(r.header.Get("Content-Type")))
	}
	return fault.Explain(err, "%s answered %d", r.from, r.status)
}

// post sends form with the app's credentials to an endpoint that takes secrets, once.
func (p *party) post(ctx context.Context, what, endpoint string, form url.Values) (*reply, error) {
	h := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	p.method.apply(h, form, p.id, p.secret)
	return p.send(ctx, what, http.MethodPost, endpoint, h, form.Encode(), noRedirect)
}

// get reads a protected resource: the token goes into the header and nowhere else.
func (p *party) get(ctx context.Context, what, endpoint, access string) (*reply, error) {
	h := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + access}}
	return p.send(ctx, what, http.MethodGet, endpoint, h, "", noRedirect)
}

// published reads a document that anybody may read.
func (p *party) published(ctx context.Context, what, endpoint string) (*reply, error) {
	h := http.Header{"Accept": {"application/json"}}
	return p.send(ctx, what, http.MethodGet, endpoint, h, "", sameOrigin)
}

// send makes one request. Its errors hold nothing that was sent or received.
func (p *party) send(ctx context.Context, what, method, endpoint string, h http.Header, body string, follow func(*http.Request, []*http.Request) error) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if p.issuer != "" {
		ctx = address.Within(ctx, p.issuer)
	}
	r, err := http.NewRequestWithContext(ctx, method, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("providers: %s: %s: %w", p.name, what, address.ErrURL)
	}
	r.Header = h
	from := method + " " + fault.Bare(endpoint)
	resp, err := p.http(ctx, follow).Do(r)
	if err != nil {
		return nil, unanswered(from, p.unavailable(what, err), err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	// What it says of its length saves copies, within what most answers are: it need not be true.
	b.Grow(int(min(max(resp.ContentLength, 0), maxRoom)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return nil, unanswered(from, p.unavailable(what, err), err)
	}
	if b.Len() > maxBody {
		return nil, fmt.Errorf("providers: %s: %s: %w: answer of more than 1 MiB", p.name, what, ErrToken)
	}
	return &reply{resp.StatusCode, resp.Header, b.Bytes(), from}, nil
}

// unanswered explains the error of a request that got no answer, by what is the transport's own in its cause.
func unanswered(from string, err, cause error) error {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(cause, &cert):
		return fault.Explain(err, "%s: its certificate does not verify: %s", from, fault.Quoted(cert.Err.Error()))
	case errors.Is(cause, context.DeadlineExceeded):
		return fault.Explain(err, "%s did not answer in time", from)
	case errors.As(cause, &dns):
		return fault.Explain(err, "%s: there is no host %s", from, fault.Quoted(dns.Name))
	case errors.As(cause, &op) && op.Op == "dial":
		return fault.Explain(err, "%s: %s", from, op.Error())
	}
	return fault.Explain(err, "%s got no usable answer", from)
}

// http returns a copy of the context's client, whatever it is, that follows only what follow allows
// and takes no cookies from one person's sign-in to another's.
func (p *party) http(ctx context.Context, follow func(*http.Request, []*http.Request) error) *http.Client {
	c := p.client
	if given, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && given != nil {
		c = given
	}
	return &http.Client{Transport: c.Transport, Timeout: c.Timeout, CheckRedirect: follow}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func sameOrigin(r *http.Request, via []*http.Request) error {
	if len(via) > 3 || address.Origin(r.URL) != address.Origin(via[0].URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// unavailable wraps what the transport says, as far as the text is its own: net/http quotes
// malformed answers in its errors.
func (p *party) unavailable(what string, err error) error {
	prefix := "providers: " + p.name + ": " + what
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", prefix, ErrUnavailable, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", prefix, ErrUnavailable, context.Canceled)
	case errors.Is(err, address.ErrAddress):
		return fmt.Errorf("%s: %w: %w", prefix, ErrUnavailable, address.ErrAddress)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: %w: %w", prefix, ErrUnavailable, dns)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w: %w", prefix, ErrUnavailable, op)
	}
	return fmt.Errorf("%s: %w: no usable answer", prefix, ErrUnavailable)
}

// refusal turns an answer that is not a success into an error.
func (p *party) refusal(what string, r *reply) error {
	e := &Error{Provider: p.name, Endpoint: what, Status: r.status}
	if r.status >= 300 && r.status < 400 {
		return r.explain(fmt.Errorf("providers: %s: %s: %w: redirect not followed", p.name, what, ErrToken))
	}
	if e.transient() {
		e.RetryAfter = retryAfter(r.header, time.Now())
		return r.explain(e)
	}
	e.describe(p, r)
	return r.explain(e)
}

// retryAfter reads the header of RFC 9110, section 10.2.3: at most an hour, 0 if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	n, err := strconv.ParseUint(v, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return time.Hour // a number of any size
	}
	if err == nil {
		return min(time.Duration(n)*time.Second, time.Hour)
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), time.Hour)
}

// isJSON reports whether an answer says that it is JSON.
func isJSON(h http.Header) bool {
	given := h.Get("Content-Type")
	if given == "application/json" { // as most say it
		return true
	}
	t, _, err := mime.ParseMediaType(given)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// isForm reports whether an answer is of a type that some providers send forms as.
func isForm(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "application/x-www-form-urlencoded" || t == "text/plain")
}
