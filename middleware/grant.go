package middleware

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// grant is what one provider granted in one session, for one of its accounts. It is a field of the
// session's record.
type grant struct {
	provider, label string
	token           *providers.Token
	user            string    // key of the account at the provider
	subject         string    // who must come back for a step-up
	name            string    // of that account, for people
	obtained        time.Time // when the person came back
	authTime        time.Time // when they proved who they are, by our clock; zero: the provider did not say
	acr             string
	declined        []string  // scopes that were asked for when the person left, and not granted
	issued          time.Time // of the token: when the person came back, or of the latest refresh
	forced          time.Time // of the latest refresh that was not for the token's age
	dead            bool      // the provider has ended it: nothing but a sign-in helps
	version         uint64
}

// newGrant returns what came back from f, of the account with that key. The provider's clock may be off by skew.
func newGrant(f *flow, t *providers.Token, id *providers.Identity, account string, now time.Time, skew time.Duration) grant {
	g := grant{
		provider: f.provider, label: f.label, token: t, user: account, subject: id.Subject,
		obtained: now, authTime: providers.ProvedAt(id.AuthTime, now, skew), acr: id.ACR, declined: missing(f.need.Scopes, t.Scopes),
		issued: now, version: env.Version(),
	}
	for _, name := range []string{id.Name, id.Username, id.Email} {
		if g.name == "" {
			g.name = name
		}
	}
	return g
}

// connected names a connection: its provider, and the label behind a colon if it has one. Neither
// has a colon in it.
func connected(provider, label string) string {
	if label == "" {
		return provider
	}
	return provider + ":" + label
}

// id names the grant within its session.
func (g *grant) id() string { return connected(g.provider, g.label) }

func (g *grant) field() sessionstore.Field {
	t := g.token.Pack()
	size := 64 + len(t) + len(g.user) + len(g.subject) + len(g.acr) + len(g.name)
	for _, s := range g.declined {
		size += 3 + len(s)
	}
	var b packed.Builder
	b.Grow(size)
	b.Text(t)
	b.Text(g.user)
	b.Text(g.subject)
	b.Time(g.obtained)
	b.Time(g.authTime)
	b.Text(g.acr)
	b.Text(g.name)
	b.Texts(g.declined)
	b.Time(g.issued)
	b.Time(g.forced)
	b.Bool(g.dead)
	return sessionstore.Field{Name: prefixGrant + g.id(), Value: b.String(), Version: g.version}
}

// unpackGrant reads a field whose name has id behind its prefix.
func unpackGrant(id string, f sessionstore.Field) (grant, bool) {
	r := packed.Read(f.Value)
	t, err := providers.Unpack(r.String())
	g := grant{
		token: t, user: r.String(), subject: r.String(), obtained: r.Time(), authTime: r.Time(), acr: r.String(),
		name: r.String(), declined: r.Strings(), issued: r.Time(), forced: r.Time(), dead: r.Bool(), version: f.Version,
	}
	g.provider, g.label, _ = strings.Cut(id, ":")
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
func (g *grant) ended(now time.Time) bool {
	return g.dead || !g.token.Expiry.IsZero() && !now.Before(g.token.Expiry)
}

// over reports that the connection is of no use any more, whoever refreshes.
func (g *grant) over(now time.Time) bool { return g.dead || g.token.Refresh == "" && g.ended(now) }

// due reports that the token should be renewed. The jitter follows from the version, so that all
// processes are of one opinion. One that was issued for a few minutes is not renewed all the time.
func (g *grant) due(now time.Time) bool {
	if g.dead {
		return true
	}
	end := g.token.Expiry
	if end.IsZero() || g.token.Refresh == "" {
		return g.ended(now)
	}
	ahead := refreshAhead + time.Duration(g.version%uint64(refreshJitter))
	if life := end.Sub(g.issued) / 4; ahead > life {
		ahead = life
	}
	return !now.Before(end.Add(-ahead))
}

// lasts reports that the token is good for long enough to be used while it is being renewed.
func (g *grant) lasts(now time.Time) bool {
	return !g.dead && (g.token.Expiry.IsZero() || now.Add(min(inTransit, g.token.Expiry.Sub(g.issued)/10)).Before(g.token.Expiry))
}

// proved returns when the person proved who they are; zero: nobody knows. No provider has seen them later than we
// have.
func (g *grant) proved() time.Time {
	if g.authTime.After(g.obtained) {
		return g.obtained
	}
	return g.authTime
}

// meets returns why a sign-in for n, which came back at now with g, falls short of it; nil if it does not. A
// provider's Finish has judged the same: this holds for one of the app's own that has not.
func (g *grant) meets(n Need, now time.Time) error {
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

// clockSkew returns by how much a provider's clock may be off.
func clockSkew(p providers.Provider) time.Duration {
	if c, ok := p.(providers.Clocked); ok {
		return c.ClockSkew()
	}
	return time.Minute
}

// after returns what the session holds once its person came back with g to where it held old. What
// was granted stays granted: a sign-in that asked for less, or brought no refresh token because the
// provider gives one at the first consent only, takes nothing away. A token that was asked for
// because of who holds it, stronger says, is always the new one.
func (g grant) after(old grant, stronger bool, now time.Time) grant {
	if old.user != g.user {
		return g
	}
	if g.authTime.IsZero() {
		g.authTime = old.proved() // what was shown then was shown, though the provider does not say it again
	}
	if old.over(now) {
		return g
	}
	less := len(missing(old.token.Scopes, g.token.Scopes)) > 0
	more := len(missing(g.token.Scopes, old.token.Scopes)) > 0
	if less && !more && !stronger {
		g.token, g.issued, g.forced = old.token, old.issued, old.forced
		return g
	}
	if g.token.Refresh == "" && old.token.Refresh != "" {
		t := *g.token
		t.Refresh = old.token.Refresh
		g.token = &t
	}
	return g
}

// keep adds to c that s holds g now, and returns what comes of it.
func keepGrant(s *session.View, c *sessionstore.Change, g grant, stronger bool, now time.Time) grant {
	if old, ok := heldBy(s, g.id()); ok {
		// What is kept of it must not be what a refresh has just traded for something else.
		c.If = append(c.If, sessionstore.Match{Name: prefixGrant + g.id(), Version: old.version})
		g = g.after(old, stronger, now)
		if m := markOf(s, &old); m.grant == old.version && g.token.Refresh == old.token.Refresh {
			// It is being renewed: that others know is not to end with the version.
			m.grant, m.version = g.version, env.Version()
			c.Set = append(c.Set, m.field(g.id()))
		}
	}
	c.Set = append(c.Set, g.field())
	return g
}

// grant returns what the session holds under the name of a connection. One that cannot be read is
// one that was never given.
func grantOf(s *session.View, id string) (grant, bool) {
	if !s.SignedIn() {
		return grant{}, false
	}
	return heldBy(s, id)
}

// held is grant of a session that need not be the request's.
func heldBy(s *session.View, id string) (grant, bool) {
	f, ok := s.Record.Field(prefixGrant + id)
	if !ok {
		return grant{}, false
	}
	return unpackGrant(id, f)
}

// grantsOf yields all of the session's.
func grantsOf(s *session.View) iter.Seq[grant] {
	return func(yield func(grant) bool) {
		if !s.SignedIn() {
			return
		}
		for f := range s.Record.Prefix(prefixGrant) {
			if g, ok := unpackGrant(f.Name[len(prefixGrant):], f); ok && !yield(g) {
				return
			}
		}
	}
}

// unreadGrant logs that s holds a grant of that id which cannot be read, if it does.
func (a *Auth) unreadGrant(ctx context.Context, s *session.View, id string) {
	if _, there := s.Record.Field(prefixGrant + id); there {
		a.env.Log.Unread(ctx, session.Kind, prefixGrant+id, errGrant)
	}
}

var errGrant = errors.New("middleware: grant: malformed")

// connection returns a grant of s, or why there is none. provider "" is the one of the sign-in.
func (a *Auth) connection(ctx context.Context, s *session.View, provider, label string) (grant, error) {
	if !s.SignedIn() {
		return grant{}, ErrSignedOut
	}
	if provider == "" {
		provider = s.Meta.Provider
	}
	id := connected(provider, label)
	g, ok := grantOf(s, id)
	if !ok {
		a.unreadGrant(ctx, s, id)
		return grant{}, notConnected(id)
	}
	return g, nil
}

// notConnected says that there is no grant of that id.
func notConnected(id string) error {
	provider, label, _ := strings.Cut(id, ":")
	return &StepUpError{Need: Need{Provider: provider, Label: label}, lacks: lacksProvider}
}

// notConfigured says that nobody can be connected with provider.
func notConfigured(provider string) error {
	return fmt.Errorf("%w, and not configured", notConnected(provider))
}

// reauth says that g has ended.
func (g *grant) reauth() error {
	return &StepUpError{Need: Need{Provider: g.provider, Label: g.label, again: true}, lacks: lacksToken}
}

// Token returns a token of whoever is signed in that is good now: provider "" is the one of the
// sign-in, and a label is chosen by [WithConnection]. One that has ended is renewed first, by one
// of all who ask for it, in whichever process; one that is about to end is renewed while it is
// still used. To call the provider's API, [Client] is shorter and sends the token nowhere else.
//
// Nobody signed in is [ErrSignedOut], another provider [ErrNotConnected], a token that cannot be
// renewed [ErrReauthRequired]; the last two come in a [*StepUpError]. A provider that does not
// answer is [providers.ErrUnavailable], and only once the token that is there has ended.
func Token(ctx context.Context, provider string) (*providers.Token, error) {
	return tokenOf(ctx, provider, false)
}

// Refresh is [Token], but renews the token although it has not ended: because somebody else says that
// it has, say. A token that was renewed so within the last half minute is not renewed again.
func Refresh(ctx context.Context, provider string) (*providers.Token, error) {
	return tokenOf(ctx, provider, true)
}

func tokenOf(ctx context.Context, provider string, force bool) (*providers.Token, error) {
	q, err := from(ctx)
	if err != nil {
		return nil, err
	}
	s := q.Look()
	g, err := q.auth.connection(ctx, s, provider, labelOf(ctx))
	if err != nil {
		return nil, err
	}
	if !force && !g.due(q.auth.env.Clock()) {
		return g.token, nil
	}
	p := q.auth.providers[g.provider]
	if p == nil {
		return nil, notConfigured(g.provider)
	}
	var next grant
	if force {
		next, err = q.auth.renew(ctx, s, g, true)
	} else {
		next, err = q.auth.current(ctx, s, g)
	}
	if err != nil {
		return nil, err
	}
	if next.version != g.version {
		q.Learn(next.field())
	}
	return next.token, nil
}

const prefixGrant = "g:" // of the field of a session's record
