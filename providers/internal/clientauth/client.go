// Package clientauth proves to a provider's endpoint which app asks.
//
// It promises that one request carries exactly one proof, of the method that was chosen, and that a secret is in no
// print of a Client. It chooses no method and tries no second one; it sends nothing. A method stands in a file of its
// own. It may touch the header and the form of the request that it proves, and nothing else.
package clientauth

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// The methods, by the names that metadata has for them.
const (
	Basic = "client_secret_basic"
	Post  = "client_secret_post"
	None  = "none"
)

// A Client is an app as it is registered with one provider.
type Client struct{ method, id, secret string }

// New returns the client that proves itself by method. A method that is not known is None.
func New(method, id, secret string) *Client { return &Client{method, id, secret} }

// ID returns the client id, which is no secret.
func (c *Client) ID() string { return c.id }

// By returns c with another method.
func (c *Client) By(method string) *Client { return &Client{method, c.id, c.secret} }

// Prove adds the credentials to a request's header h, or to its form.
func (c *Client) Prove(h http.Header, form url.Values) {
	switch c.method {
	case Basic:
		c.basic(h)
	case Post:
		c.post(form)
	default:
		form.Set("client_id", c.id)
	}
}

// Secrets returns the texts that a refusal must not repeat: the secret, and what a request shows in its place.
func (c *Client) Secrets() []string { return []string{c.secret, c.basicCredentials()} }

// Format writes the client id, for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.id) }
