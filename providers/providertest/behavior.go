package providertest

import (
	"maps"
	"net/url"
	"slices"
	"time"
)

// A Behavior is how a [Server] misbehaves. The zero Behavior does not. It is a value: copy it,
// change it, and give it to [Server.SetBehavior]. Its functions may be called concurrently.
type Behavior struct {
	// A Fault stands before the endpoint of its name; nil lets every request through.
	Discovery, JWKS, Authorize, Token, UserInfo, Revoke, API Fault

	Metadata func(m map[string]any)            // changes the discovery document
	Keys     func(set []map[string]any) any    // replaces the JWKS: what it returns is its "keys"
	Answer   func(q url.Values)                // changes the authorization answer, a success or an error
	Fields   func(d *Draft, m map[string]any)  // changes the token answer
	Claims   func(d *Draft, c map[string]any)  // changes the claims of the ID token
	Header   func(d *Draft, h map[string]any)  // changes the header of the ID token; "alg" and "kid" included
	IDToken  func(d *Draft) string             // returns the ID token in its last form; nil: [Draft.JWS]
	Person   func(a Account, c map[string]any) // changes the userinfo answer

	Rotation  Rotation      // of refresh tokens
	Grace     time.Duration // of RotateGrace; 0: a minute
	AccessTTL time.Duration // 0: the Config's
	ExtraKeys int           // how many keys that sign nothing are published as well

	IgnorePKCE          bool // neither asks for a challenge nor looks at the verifier, and does not say that it could
	OmitIss             bool // knows nothing of RFC 9207
	RotateBeforeSigning bool // signs every ID token with a key that was not published before

	// ACR and MaxAge are what the API asks of a token (RFC 9470); zero: nothing.
	ACR    string
	MaxAge time.Duration
}

// Rotation is what happens to a refresh token that is used.
type Rotation uint8

const (
	RotateStrict Rotation = iota // a new one each time; a used one that comes again ends the grant (RFC 9700, section 4.14.2)
	RotateGrace                  // the same, but a used one is good for [Behavior.Grace] more
	RotateNone                   // it stays, and the answer has none
)

// Behavior returns the behavior as it is now.
func (s *Server) Behavior() Behavior {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behavior
}

// SetBehavior replaces the behavior, from the next request on.
func (s *Server) SetBehavior(b Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behavior = b
}

// Set changes the behavior, from the next request on. f must not call s.
func (s *Server) Set(f func(b *Behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.behavior)
}

func (b Behavior) fault(endpoint string) Fault {
	switch endpoint {
	case "discovery":
		return b.Discovery
	case "jwks":
		return b.JWKS
	case "authorize":
		return b.Authorize
	case "token":
		return b.Token
	case "userinfo":
		return b.UserInfo
	case "revoke":
		return b.Revoke
	case "api":
		return b.API
	}
	return nil
}

// With returns a function for [Behavior].Claims, Header or Fields that sets a member.
func With(name string, v any) func(*Draft, map[string]any) {
	return func(_ *Draft, m map[string]any) { m[name] = v }
}

// Without returns a function for [Behavior].Claims, Header or Fields that removes members.
func Without(names ...string) func(*Draft, map[string]any) {
	return func(_ *Draft, m map[string]any) {
		maps.DeleteFunc(m, func(k string, _ any) bool { return slices.Contains(names, k) })
	}
}

// OnRefresh returns f for answers to a refresh only: what a first sign-in gets is left alone.
func OnRefresh(f func(*Draft, map[string]any)) func(*Draft, map[string]any) {
	return func(d *Draft, m map[string]any) {
		if d.GrantType == "refresh_token" {
			f(d, m)
		}
	}
}

// AnswerError returns a function for [Behavior].Answer: the provider says no, whatever the person said.
func AnswerError(code, description string) func(url.Values) {
	return func(q url.Values) {
		q.Del("code")
		q.Set("error", code)
		if description != "" {
			q.Set("error_description", description)
		}
	}
}
