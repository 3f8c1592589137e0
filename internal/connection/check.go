package connection

import (
	"context"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// lacks returns how s falls short of n at now.
func (n Need) lacks(s *session.View, now time.Time) Lack {
	if !s.SignedIn() {
		return LacksUser
	}
	if n.zero() {
		return LacksNothing
	}
	provider := n.Provider
	if provider == "" {
		provider = s.Meta.Provider
	}
	g, ok := GrantOf(s, ID(provider, n.Label))
	if !ok {
		return LacksProvider
	}
	if len(n.ACR) > 0 && !slices.Contains(n.ACR, g.ACR) {
		return LacksLevel
	}
	if n.MaxAge > 0 && !providers.Recent(g.proved(), now, n.MaxAge) {
		return lacksAge
	}
	if (n.Provider != "" || n.Label != "" || len(n.Scopes) > 0) && g.Over(now) {
		return LacksToken // it had what n asks for, and has ended
	}
	if len(Missing(n.Scopes, g.Token.Scopes)) > 0 {
		return LacksScope
	}
	return LacksNothing
}

// Declined reports whether a sign-in for n, of which s falls short by l, would ask for no other scopes than those that
// the person has declined.
func (n Need) Declined(s *session.View, id string, l Lack) bool {
	g, ok := GrantOf(s, id)
	if !ok || l != LacksScope && l != LacksToken {
		return false
	}
	m := Missing(n.Scopes, g.Token.Scopes)
	if l == LacksToken && len(m) == 0 {
		return false // it is about the token alone
	}
	return len(Missing(m, g.declined)) == 0
}

// Check returns a [*Shortfall] if s falls short of n.
func (a *Connections) Check(ctx context.Context, s *session.View, n Need) error {
	l := n.lacks(s, a.env.Clock())
	switch l {
	case LacksNothing:
		return nil
	case LacksUser:
		return &Shortfall{Need: n, Lacks: l}
	}
	if n.Provider == "" {
		n.Provider = s.Meta.Provider
	}
	if l == LacksProvider {
		a.unreadGrant(ctx, s, ID(n.Provider, n.Label))
	}
	n.Again = l != LacksProvider
	return &Shortfall{Need: n, Lacks: l}
}
