package signin

import (
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// SealNeed returns n for a URL: sealed, so that nobody else decides what is asked for, and for one provider, so that
// nobody decides whom it is asked of. Provider "" leaves that to the person, on the page that lists them.
func (a *SignIns) SealNeed(n connection.Need, provider, page string) (string, error) {
	b := packed.AppendTime([]byte("n"), a.env.Clock().Add(needLife))
	b = packed.AppendStrings(b, n.Scopes)
	b = packed.AppendStrings(b, n.ACR)
	b = packed.AppendUint(b, uint64(providers.WholeSeconds(n.MaxAge)))
	b = packed.AppendString(b, page)
	b = packed.AppendString(b, n.Label)
	b = packed.AppendBool(b, n.Again)
	b = packed.AppendString(b, provider)
	return a.SealRelay(b)
}

// OpenNeed returns what was sealed for that provider, or for any.
func (a *SignIns) OpenNeed(s, provider string) (n connection.Need, page string, ok bool) {
	b, ok := a.OpenRelay(s)
	if !ok || len(b) == 0 || b[0] != 'n' {
		return connection.Need{}, "", false
	}
	r := packed.Read(b[1:])
	until := r.Time()
	n = connection.Need{Scopes: r.Strings(), ACR: r.Strings(), MaxAge: time.Duration(r.Uint()) * time.Second}
	page = r.String()
	n.Label, n.Again = r.String(), r.Bool()
	of := r.String()
	return n, page, r.Err() == nil && a.env.Clock().Before(until) && (of == "" || of == provider)
}

// SealRelay seals what travels through a URL of ours.
func (a *SignIns) SealRelay(plain []byte) (string, error) {
	seed, err := a.env.Seed()
	if err != nil {
		return "", err
	}
	k := &a.env.Ring[0]
	return keys.Text(append([]byte{k.ID}, k.Relay.SealOnce(seed, plain, []byte(a.app.Origin))...)), nil
}

func (a *SignIns) OpenRelay(s string) (string, bool) {
	sealed := keys.Raw(s)
	if len(sealed) == 0 {
		return "", false
	}
	for i := range a.env.Ring {
		if a.env.Ring[i].ID == sealed[0] {
			if _, plain, err := a.env.Ring[i].Relay.OpenOnce(sealed[1:], []byte(a.app.Origin)); err == nil {
				return string(plain), true
			}
		}
	}
	return "", false
}

const needLife = 24 * time.Hour // a page with a link to sign in may be open for long

const moveLife = 10 * time.Minute

// SealMove returns the question whether an account is to be moved to the user of s, for a URL.
func (a *SignIns) SealMove(s *session.View, account string) (string, error) {
	b := packed.AppendTime([]byte("m"), a.env.Clock().Add(moveLife))
	b = packed.AppendString(b, account)
	b = packed.AppendString(b, s.ID)
	b = packed.AppendString(b, s.Meta.User)
	return a.SealRelay(b)
}

// OpenMove returns the account that the user of s was asked about.
func (a *SignIns) OpenMove(sealed string, s *session.View) (account string, ok bool) {
	b, ok := a.OpenRelay(sealed)
	if !ok || b == "" || b[0] != 'm' {
		return "", false
	}
	r := packed.Read(b[1:])
	until := r.Time()
	account = r.String()
	ok = r.String() == s.ID && r.String() == s.Meta.User && s.SignedIn()
	return account, ok && r.Err() == nil && a.env.Clock().Before(until)
}
