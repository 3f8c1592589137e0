package connection

import (
	"slices"
	"time"
)

// ID returns the name of a connection: its provider and, if it has one, the label behind a colon. Neither has a
// colon in it.
func ID(provider, label string) string {
	if label == "" {
		return provider
	}
	return provider + ":" + label
}

// A Need is what a page asks of a session, see Need of the package middleware.
type Need struct {
	Provider, Label string
	Scopes, ACR     []string
	MaxAge          time.Duration
	Again           bool // sign in anew, although the connection is there
}

// zero reports that n asks for a signed-in person and nothing else.
func (n Need) zero() bool {
	return n.Provider == "" && !n.Special()
}

// Special reports that n asks for more than to be signed in with its provider.
func (n Need) Special() bool {
	return n.Label != "" || n.Again || len(n.Scopes) > 0 || len(n.ACR) > 0 || n.MaxAge > 0
}

// Missing returns the elements of want that are not in have.
func Missing(want, have []string) []string {
	var m []string
	for _, s := range want {
		if !slices.Contains(have, s) && !slices.Contains(m, s) {
			m = append(m, s)
		}
	}
	return m
}
