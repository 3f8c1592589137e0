// Package call makes one request to a provider and reads its answer whole.
//
// It promises that a call ends within its time and reads at most 1 MiB; that an endpoint which takes a secret is followed
// nowhere else; that no error repeats what was sent or received; and that no cookie is kept. The meaning of an answer is
// left to package judge, and the repetition of a call to nobody: a request is sent once.
package call

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"golang.org/x/oauth2"
)

// DefaultTimeout bounds a call whose provider says nothing else.
const DefaultTimeout = 10 * time.Second

const (
	maxBody = 1 << 20  // of any answer, after decompression
	maxRoom = 16 << 10 // that is made for an answer before it comes
)

// A Client makes the calls of one provider.
type Client struct {
	Name    string // of the provider, for errors
	Auth    *clientauth.Client
	Timeout time.Duration
	HTTP    *http.Client // used if the context carries none
	Issuer  string       // host of the issuer whose metadata names the endpoints; "" if they are configured
}

// Post sends form with the app's credentials to an endpoint that takes secrets, once.
func (c *Client) Post(ctx context.Context, what, endpoint string, form url.Values) (*Reply, error) {
	h := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	c.Auth.Prove(h, form)
	return c.send(ctx, what, http.MethodPost, endpoint, h, form.Encode(), noRedirect)
}

// Get reads a protected resource: the token goes into the header and nowhere else.
func (c *Client) Get(ctx context.Context, what, endpoint, access string) (*Reply, error) {
	h := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + access}}
	return c.send(ctx, what, http.MethodGet, endpoint, h, "", noRedirect)
}

// Published reads a document that anybody may read.
func (c *Client) Published(ctx context.Context, what, endpoint string) (*Reply, error) {
	h := http.Header{"Accept": {"application/json"}}
	return c.send(ctx, what, http.MethodGet, endpoint, h, "", sameOrigin)
}

// Delete asks for the removal of what endpoint names. Credentials are in h.
func (c *Client) Delete(ctx context.Context, what, endpoint string, h http.Header, body string) (*Reply, error) {
	return c.send(ctx, what, http.MethodDelete, endpoint, h, body, noRedirect)
}

// send makes one request. Its errors hold nothing that was sent or received.
func (c *Client) send(ctx context.Context, what, method, endpoint string, h http.Header, body string, follow func(*http.Request, []*http.Request) error) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.Issuer != "" {
		ctx = address.Within(ctx, c.Issuer)
	}
	r, err := http.NewRequestWithContext(ctx, method, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("providers: %s: %s: %w", c.Name, what, address.ErrURL)
	}
	r.Header = h
	from := method + " " + fault.Bare(endpoint)
	resp, err := c.http(ctx, follow).Do(r)
	if err != nil {
		return nil, unanswered(from, c.unavailable(what, err), err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	// What it says of its length saves copies, within what most answers are: it need not be true.
	b.Grow(int(min(max(resp.ContentLength, 0), maxRoom)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return nil, unanswered(from, c.unavailable(what, err), err)
	}
	if b.Len() > maxBody {
		return nil, fmt.Errorf("providers: %s: %s: %w: answer of more than 1 MiB", c.Name, what, fault.ErrToken)
	}
	return &Reply{resp.StatusCode, resp.Header, b.Bytes(), from}, nil
}

// http returns a copy of the context's client, whatever it is, that follows only what follow allows
// and takes no cookies from one person's sign-in to another's.
func (c *Client) http(ctx context.Context, follow func(*http.Request, []*http.Request) error) *http.Client {
	base := c.HTTP
	if given, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && given != nil {
		base = given
	}
	return &http.Client{Transport: base.Transport, Timeout: base.Timeout, CheckRedirect: follow}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func sameOrigin(r *http.Request, via []*http.Request) error {
	if len(via) > 3 || address.Origin(r.URL) != address.Origin(via[0].URL) {
		return http.ErrUseLastResponse
	}
	return nil
}
