package connection

import (
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/session"
)

// A Summary describes one connection of a session. Its fields are those of Connection of the package middleware.
type Summary struct {
	Provider string
	Label    string
	Name     string
	Scopes   []string
	Declined []string
	Expires  time.Time
	Ended    bool
}

// Summaries returns the connections of s at now, that of the sign-in first, the others by their ID.
func Summaries(s *session.View, now time.Time) []Summary {
	cs := []Summary{}
	for g := range GrantsOf(s) {
		cs = append(cs, Summary{
			Provider: g.Provider, Label: g.Label, Name: g.name, Scopes: append([]string{}, g.Token.Scopes...),
			Declined: g.declined, Expires: g.Token.Expiry, Ended: g.Over(now),
		})
	}
	first := func(c Summary) int {
		if c.Provider == s.Meta.Provider && c.Label == "" {
			return 0
		}
		return 1
	}
	slices.SortFunc(cs, func(x, y Summary) int {
		if d := first(x) - first(y); d != 0 {
			return d
		}
		return strings.Compare(ID(x.Provider, x.Label), ID(y.Provider, y.Label))
	})
	return cs
}
