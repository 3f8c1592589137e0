package providers

import (
	"net/http"
	"net/url"
)

// An AuthMethod is how the app proves to the provider who it is. The names are those of
// https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication
//
// It is never guessed: trying one after the other sends a one-time code twice.
type AuthMethod string

const (
	// ClientSecretBasic sends the secret in an Authorization header. It is the default for a
	// registration with a secret.
	ClientSecretBasic AuthMethod = "client_secret_basic"

	// ClientSecretPost sends the secret in the form, for a provider that wants it there.
	ClientSecretPost AuthMethod = "client_secret_post"

	// None is for a public client. It is the default for a registration without a secret.
	None AuthMethod = "none"
)

// apply adds the credentials to a request and its form.
func (m AuthMethod) apply(h http.Header, form url.Values, id string, secret Secret) {
	switch m {
	case ClientSecretBasic:
		// "The client identifier is encoded using the application/x-www-form-urlencoded
		// encoding algorithm […] and the encoded value is used as the username; the client
		// password is encoded using the same algorithm." RFC 6749, section 2.3.1.
		r := http.Request{Header: h}
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(string(secret)))
	case ClientSecretPost:
		form.Set("client_id", id)
		form.Set("client_secret", string(secret))
	default:
		form.Set("client_id", id)
	}
}
