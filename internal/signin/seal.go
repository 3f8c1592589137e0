package signin

import (
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// SealNeed seals n and the id of a page state for a URL, so that nobody else decides what is asked for, nor of which
// provider. Provider "" leaves the provider to the person, on the page that lists them.
func (a *SignIns) SealNeed(n connection.Need, provider, page string) (string, error) {
	b := packed.AppendTime([]byte("n"), a.env.Clock().Add(needLife))
	b = packed.AppendStrings(b, n.Scopes)
	b = packed.AppendStrings(b, n.ACR)
	b = packed.AppendUint(b, uint64(providers.WholeSeconds(n.MaxAge)))
	b = packed.AppendString(b, page)
	b = packed.AppendString(b, n.Label)
	b = packed.AppendBool(b, n.Again)
	b = packed.AppendString(b, provider)
	return a.sealRelay(b)
}

// OpenNeed returns what [SignIns.SealNeed] has sealed for that provider, or for any. ok is false if it is for another
// provider, older than a day, or not ours.
func (a *SignIns) OpenNeed(s, provider string) (n connection.Need, page string, ok bool) {
	b, ok := a.openRelay(s)
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

// sealRelay seals plain for a URL of this address of the site.
func (a *SignIns) sealRelay(plain []byte) (string, error) {
	seed, err := a.env.Seed()
	if err != nil {
		return "", err
	}
	k := &a.env.Ring[0]
	return keys.Text(append([]byte{k.ID}, k.Relay.SealOnce(seed, plain, []byte(a.app.Origin))...)), nil
}

// openRelay returns what [SignIns.sealRelay] has sealed at this address of the site.
func (a *SignIns) openRelay(s string) (string, bool) {
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

const moveLife = 10 * time.Minute // a person has so long to confirm

// SealMove seals, for a URL, the question whether the account with that key is to be transferred to the user of s.
func (a *SignIns) SealMove(s *session.View, account string) (string, error) {
	b := packed.AppendTime([]byte("m"), a.env.Clock().Add(moveLife))
	b = packed.AppendString(b, account)
	b = packed.AppendString(b, s.ID)
	b = packed.AppendString(b, s.Meta.User)
	return a.sealRelay(b)
}

// OpenMove returns the key of the account that the user of s was asked about. ok is false if that was another user, in
// another session, or too long ago.
func (a *SignIns) OpenMove(sealed string, s *session.View) (account string, ok bool) {
	b, ok := a.openRelay(sealed)
	if !ok || b == "" || b[0] != 'm' {
		return "", false
	}
	r := packed.Read(b[1:])
	until := r.Time()
	account = r.String()
	ok = r.String() == s.ID && r.String() == s.Meta.User && s.SignedIn()
	return account, ok && r.Err() == nil && a.env.Clock().Before(until)
}
