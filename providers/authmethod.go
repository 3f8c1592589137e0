package providers

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

// or returns m, or the default for a registration with that secret.
func (m AuthMethod) or(secret Secret) AuthMethod {
	if m != "" {
		return m
	}
	if secret == "" {
		return None
	}
	return ClientSecretBasic
}
