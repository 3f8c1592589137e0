package connection

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Grant is what one provider granted in one session, for one of its accounts. It is a field of the
// session's record.
type Grant struct {
	Provider, Label string
	Token           *providers.Token
	User            string    // key of the account at the provider
	Subject         string    // who must come back for a step-up
	name            string    // of that account, for people
	Obtained        time.Time // when the person came back
	authTime        time.Time // when they proved who they are, by our clock; zero: the provider did not say
	ACR             string
	declined        []string  // scopes that were asked for when the person left, and not granted
	issued          time.Time // of the token: when the person came back, or of the latest refresh
	forced          time.Time // of the latest refresh that was not for the token's age
	dead            bool      // the provider has ended it: nothing but a sign-in helps
	version         uint64
}

// NewGrant returns what came back from a sign-in that asked for these scopes, of the account with that key. The provider's clock may be off by skew.
func NewGrant(provider, label string, asked []string, t *providers.Token, id *providers.Identity, account string, now time.Time, skew time.Duration) Grant {
	g := Grant{
		Provider: provider, Label: label, Token: t, User: account, Subject: id.Subject,
		Obtained: now, authTime: providers.ProvedAt(id.AuthTime, now, skew), ACR: id.ACR, declined: Missing(asked, t.Scopes),
		issued: now, version: env.Version(),
	}
	for _, name := range []string{id.Name, id.Username, id.Email} {
		if g.name == "" {
			g.name = name
		}
	}
	return g
}

// ID names a connection: its provider, and the label behind a colon if it has one. Neither
// has a colon in it.
func ID(provider, label string) string {
	if label == "" {
		return provider
	}
	return provider + ":" + label
}

// ID names the grant within its session.
func (g *Grant) ID() string { return ID(g.Provider, g.Label) }

func (g *Grant) field() sessionstore.Field {
	t := g.Token.Pack()
	size := 64 + len(t) + len(g.User) + len(g.Subject) + len(g.ACR) + len(g.name)
	for _, s := range g.declined {
		size += 3 + len(s)
	}
	var b packed.Builder
	b.Grow(size)
	b.Text(t)
	b.Text(g.User)
	b.Text(g.Subject)
	b.Time(g.Obtained)
	b.Time(g.authTime)
	b.Text(g.ACR)
	b.Text(g.name)
	b.Texts(g.declined)
	b.Time(g.issued)
	b.Time(g.forced)
	b.Bool(g.dead)
	return sessionstore.Field{Name: PrefixGrant + g.ID(), Value: b.String(), Version: g.version}
}

// unpackGrant reads a field whose name has id behind its prefix.
func unpackGrant(id string, f sessionstore.Field) (Grant, bool) {
	r := packed.Read(f.Value)
	t, err := providers.Unpack(r.String())
	g := Grant{
		Token: t, User: r.String(), Subject: r.String(), Obtained: r.Time(), authTime: r.Time(), ACR: r.String(),
		name: r.String(), declined: r.Strings(), issued: r.Time(), forced: r.Time(), dead: r.Bool(), version: f.Version,
	}
	g.Provider, g.Label, _ = strings.Cut(id, ":")
	return g, err == nil && r.Err() == nil
}

// How far ahead of its end a token is renewed. Not all that were issued in one moment are renewed
// in one.
const (
	refreshAhead  = time.Minute
	refreshJitter = 16 * time.Second
	inTransit     = 5 * time.Second // a token that ends sooner may end before it arrives
)

// ended reports that the access token is not good at now.
func (g *Grant) ended(now time.Time) bool {
	return g.dead || !g.Token.Expiry.IsZero() && !now.Before(g.Token.Expiry)
}

// Over reports that the connection is of no use any more, whoever refreshes.
func (g *Grant) Over(now time.Time) bool { return g.dead || g.Token.Refresh == "" && g.ended(now) }

// due reports that the token should be renewed. The jitter follows from the version, so that all
// processes are of one opinion. One that was issued for a few minutes is not renewed all the time.
func (g *Grant) due(now time.Time) bool {
	if g.dead {
		return true
	}
	end := g.Token.Expiry
	if end.IsZero() || g.Token.Refresh == "" {
		return g.ended(now)
	}
	ahead := refreshAhead + time.Duration(g.version%uint64(refreshJitter))
	if life := end.Sub(g.issued) / 4; ahead > life {
		ahead = life
	}
	return !now.Before(end.Add(-ahead))
}

// lasts reports that the token is good for long enough to be used while it is being renewed.
func (g *Grant) lasts(now time.Time) bool {
	return !g.dead && (g.Token.Expiry.IsZero() || now.Add(min(inTransit, g.Token.Expiry.Sub(g.issued)/10)).Before(g.Token.Expiry))
}

// proved returns when the person proved who they are; zero: nobody knows. No provider has seen them later than we
// have.
func (g *Grant) proved() time.Time {
	if g.authTime.After(g.Obtained) {
		return g.Obtained
	}
	return g.authTime
}

// Meets returns why a sign-in for n, which came back at now with g, falls short of it; nil if it does not. A
// provider's Finish has judged the same: this holds for one of the app's own that has not.
func (g *Grant) Meets(n Need, now time.Time) error {
	switch {
	case n.MaxAge <= 0:
		return nil
	case g.proved().IsZero():
		return providers.ErrNoAuthTime
	case !providers.Recent(g.proved(), now, n.MaxAge):
		return providers.ErrUnmet
	}
	return nil
}

// ClockSkew returns by how much a provider's clock may be off.
func ClockSkew(p providers.Provider) time.Duration {
	if c, ok := p.(providers.Clocked); ok {
		return c.ClockSkew()
	}
	return time.Minute
}

// after returns what the session holds once its person came back with g to where it held old. What
// was granted stays granted: a sign-in that asked for less, or brought no refresh token because the
// provider gives one at the first consent only, takes nothing away. A token that was asked for
// because of who holds it, stronger says, is always the new one.
func (g Grant) after(old Grant, stronger bool, now time.Time) Grant {
	if old.User != g.User {
		return g
	}
	if g.authTime.IsZero() {
		g.authTime = old.proved() // what was shown then was shown, though the provider does not say it again
	}
	if old.Over(now) {
		return g
	}
	less := len(Missing(old.Token.Scopes, g.Token.Scopes)) > 0
	more := len(Missing(g.Token.Scopes, old.Token.Scopes)) > 0
	if less && !more && !stronger {
		g.Token, g.issued, g.forced = old.Token, old.issued, old.forced
		return g
	}
	if g.Token.Refresh == "" && old.Token.Refresh != "" {
		t := *g.Token
		t.Refresh = old.Token.Refresh
		g.Token = &t
	}
	return g
}

// keep adds to c that s holds g now, and returns what comes of it.
func KeepGrant(s *session.View, c *sessionstore.Change, g Grant, stronger bool, now time.Time) Grant {
	if old, ok := heldBy(s, g.ID()); ok {
		// What is kept of it must not be what a refresh has just traded for something else.
		c.If = append(c.If, sessionstore.Match{Name: PrefixGrant + g.ID(), Version: old.version})
		g = g.after(old, stronger, now)
		if m := markOf(s, &old); m.grant == old.version && g.Token.Refresh == old.Token.Refresh {
			// It is being renewed: that others know is not to end with the version.
			m.grant, m.version = g.version, env.Version()
			c.Set = append(c.Set, m.field(g.ID()))
		}
	}
	c.Set = append(c.Set, g.field())
	return g
}

// grant returns what the session holds under the name of a connection. One that cannot be read is
// one that was never given.
func GrantOf(s *session.View, id string) (Grant, bool) {
	if !s.SignedIn() {
		return Grant{}, false
	}
	return heldBy(s, id)
}

// held is grant of a session that need not be the request's.
func heldBy(s *session.View, id string) (Grant, bool) {
	f, ok := s.Record.Field(PrefixGrant + id)
	if !ok {
		return Grant{}, false
	}
	return unpackGrant(id, f)
}

// GrantsOf yields all of the session's.
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

// unreadGrant logs that s holds a grant of that id which cannot be read, if it does.
func (a *Connections) unreadGrant(ctx context.Context, s *session.View, id string) {
	if _, there := s.Record.Field(PrefixGrant + id); there {
		a.env.Log.Unread(ctx, session.Kind, PrefixGrant+id, errGrant)
	}
}

var errGrant = errors.New("middleware: grant: malformed")

// connection returns a grant of s, or why there is none. provider "" is the one of the sign-in.
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

// notConnected says that there is no grant of that id.
func notConnected(id string) error {
	provider, label, _ := strings.Cut(id, ":")
	return &Shortfall{Need: Need{Provider: provider, Label: label}, Lacks: LacksProvider}
}

// notConfigured says that nobody can be connected with provider.
func notConfigured(provider string) error {
	return &Shortfall{Need: Need{Provider: provider}, Lacks: LacksProvider, Unconfigured: true}
}

// reauth says that g has ended.
func (g *Grant) reauth() error {
	return &Shortfall{Need: Need{Provider: g.Provider, Label: g.Label, Again: true}, Lacks: LacksToken}
}

const PrefixGrant = "g:" // of the field of a session's record
