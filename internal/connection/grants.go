package connection

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// maxConnections is how many connections with a label a session may have. Without a label there is one for each
// provider.
const maxConnections = 16

// HasRoom reports whether s may hold a grant of that provider under that label.
func HasRoom(s *session.View, provider, label string) bool {
	n := 0
	for g := range GrantsOf(s) {
		if g.Provider == provider && g.Label == label {
			return true // it takes the place of this one
		}
		if g.Label != "" {
			n++
		}
	}
	return label == "" || n < maxConnections
}

// Connects reports whether s holds a grant of the account with that key.
func Connects(s *session.View, account string) bool {
	for f := range s.Record.Prefix(PrefixGrant) {
		if g, ok := unpackGrant(f.Name[len(PrefixGrant):], f); ok && g.User == account {
			return true
		}
	}
	return false
}

// KeepGrant adds to c that s holds g, and returns the grant that it holds then: g, with what stays of the one that it
// replaces. stronger says that the token was asked for because of how the person signed in.
func KeepGrant(s *session.View, c *sessionstore.Change, g Grant, stronger bool, now time.Time) Grant {
	if old, ok := heldBy(s, g.ID()); ok {
		// A renewal meanwhile would make the refresh token that is kept here the old one.
		c.If = append(c.If, sessionstore.Match{Name: PrefixGrant + g.ID(), Version: old.version})
		g = g.after(old, stronger, now)
		if m := markOf(s, g.ID(), old.version); m.grant == old.version && g.Token.Refresh == old.Token.Refresh {
			// It is being renewed: the mark that says so must not end with the version.
			m.grant, m.version = g.version, env.Version()
			c.Set = append(c.Set, m.field(g.ID()))
		}
	}
	c.Set = append(c.Set, g.field())
	return g
}

// GrantOf returns the grant of that id of the person who is signed in to s. A grant that cannot be read counts as
// one that is not there.
func GrantOf(s *session.View, id string) (Grant, bool) {
	if !s.SignedIn() {
		return Grant{}, false
	}
	return heldBy(s, id)
}

// heldBy is [GrantOf] for a session whose cookie is not at hand.
func heldBy(s *session.View, id string) (Grant, bool) {
	f, ok := s.Record.Field(PrefixGrant + id)
	if !ok {
		return Grant{}, false
	}
	return unpackGrant(id, f)
}

// GrantsOf yields the grants of the person who is signed in to s.
func GrantsOf(s *session.View) iter.Seq[Grant] {
	return func(yield func(Grant) bool) {
		if !s.SignedIn() {
			return
		}
		for f := range s.Record.Prefix(PrefixGrant) {
			if g, ok := unpackGrant(f.Name[len(PrefixGrant):], f); ok && !yield(g) {
				return
			}
		}
	}
}

// unreadGrant logs it if s holds a grant of that id which cannot be read.
func (a *Connections) unreadGrant(ctx context.Context, s *session.View, id string) {
	if _, there := s.Record.Field(PrefixGrant + id); there {
		a.env.Log.Unread(ctx, session.Kind, PrefixGrant+id, errGrant)
	}
}

var errGrant = errors.New("middleware: grant: malformed")

// connection returns a grant of s, or the error that says why there is none. provider "" is the one of the sign-in.
func (a *Connections) connection(ctx context.Context, s *session.View, provider, label string) (Grant, error) {
	if !s.SignedIn() {
		return Grant{}, session.ErrSignedOut
	}
	if provider == "" {
		provider = s.Meta.Provider
	}
	id := ID(provider, label)
	g, ok := GrantOf(s, id)
	if !ok {
		a.unreadGrant(ctx, s, id)
		return Grant{}, notConnected(id)
	}
	return g, nil
}
