package clientauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
)

// basic puts the secret into the Authorization header.
//
// "The client identifier is encoded using the application/x-www-form-urlencoded encoding algorithm […] and the encoded
// value is used as the username; the client password is encoded using the same algorithm." RFC 6749, section 2.3.1.
func (c *Client) basic(h http.Header) { h.Set("Authorization", "Basic "+c.basicCredentials()) }

func (c *Client) basicCredentials() string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.id) + ":" + url.QueryEscape(c.secret)))
}

// post puts the secret into the form.
func (c *Client) post(form url.Values) {
	form.Set("client_id", c.id)
	form.Set("client_secret", c.secret)
}
