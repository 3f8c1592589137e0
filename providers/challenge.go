package providers

import (
	"net/http"
	"time"

	"github.com/returnleg/returnleg/providers/internal/challenge"
)

// A Challenge is what an API's 401 or 403 asks for, in its WWW-Authenticate header: RFC 6750,
// section 3, and RFC 9470, section 3.
type Challenge struct {
	Scheme string        // "bearer" or "dpop"
	Error  string        // such as "insufficient_scope"; "" if it only says that a token is needed
	Scopes []string      // needed
	ACR    []string      // one of these is needed
	MaxAge time.Duration // since the person signed in; 0 is no limit, and max_age=0 is one second
}

// ParseChallenge returns the challenge for a bearer token in the header of an answer. Of several, it
// returns the first that names an error, otherwise the first. Challenges of other schemes are passed
// over, as is whatever does not follow the grammar of RFC 9110, section 11.6.1; ok is false if
// nothing is left.
func ParseChallenge(h http.Header) (c Challenge, ok bool) {
	read, ok := challenge.Parse(h)
	return Challenge(read), ok
}
