package connection

import (
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// PrefixGrant begins the names of the fields that hold grants. The grant's ID follows.
const PrefixGrant = "g:"

// A Grant is what one provider granted in one session, for one of its accounts. It is a field of the
// session's record.
type Grant struct {
	Provider, Label string
	Token           *providers.Token
	User            string    // key of the account at the provider
	Subject         string    // that must come back for a step-up
	name            string    // of that account, for people
	Obtained        time.Time // when the person came back
	authTime        time.Time // when they proved who they are, by our clock; zero: the provider did not say
	ACR             string    // level of the sign-in
	declined        []string  // scopes that were asked for when the person left, and not granted
	issued          time.Time // of the token: when the person came back, or of the latest refresh
	forced          time.Time // of the latest refresh that was not for the token's age
	dead            bool      // the provider has ended it: nothing but a sign-in helps
	version         uint64
}

// NewGrant returns the grant of a sign-in that asked for these scopes, for the account with that key. The provider's
// clock may be off by skew.
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

// ID returns the name of the grant within its session.
func (g *Grant) ID() string { return ID(g.Provider, g.Label) }

// field returns g as it is stored.
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

// A token is renewed ahead of its end. The jitter spreads the renewals of tokens that were issued at the same time.
const (
	refreshAhead  = time.Minute
	refreshJitter = 16 * time.Second
	inTransit     = 5 * time.Second // a token that ends sooner may end before it arrives
)

// ended reports that the access token is not good at now.
func (g *Grant) ended(now time.Time) bool {
	return g.dead || !g.Token.Expiry.IsZero() && !now.Before(g.Token.Expiry)
}

// Over reports that the connection is of no use until the person signs in again: its token has ended, and cannot be
// renewed.
func (g *Grant) Over(now time.Time) bool { return g.dead || g.Token.Refresh == "" && g.ended(now) }

// due reports that the token should be renewed. The jitter follows from the version, so that all processes agree. A
// token that was issued for a few minutes is renewed in its last quarter.
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

// proved returns when the person proved who they are, zero if it is not known. It is never later than their return.
func (g *Grant) proved() time.Time {
	if g.authTime.After(g.Obtained) {
		return g.Obtained
	}
	return g.authTime
}

// Meets returns an error if a sign-in for n, which came back at now with g, is older than n allows. A provider's
// Finish judges the same; this is for a provider of the app's own that does not.
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

// ClockSkew returns by how much the clock of p may be off: a minute if p does not say.
func ClockSkew(p providers.Provider) time.Duration {
	if c, ok := p.(providers.Clocked); ok {
		return c.ClockSkew()
	}
	return time.Minute
}

// after returns what the session holds once g came back where it held old. Scopes that were granted stay granted: a
// sign-in that asked for less takes none away, and one without a refresh token, because the provider issues one at
// the first consent only, keeps the old one. With stronger, the token is always the new one.
func (g Grant) after(old Grant, stronger bool, now time.Time) Grant {
	if old.User != g.User {
		return g
	}
	if g.authTime.IsZero() {
		g.authTime = old.proved() // the proof of then still counts, though the provider does not repeat its time
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

// reauth returns the error of a grant that has ended.
func (g *Grant) reauth() error {
	return &Shortfall{Need: Need{Provider: g.Provider, Label: g.Label, Again: true}, Lacks: LacksToken}
}
