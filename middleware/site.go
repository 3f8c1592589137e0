package middleware

import (
	"crypto/sha256"
	"net/url"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// A site is what sessions, accounts and sign-outs belong to. Two sites may share a store and its keys. A record that one
// of them stores has a name that the other does not compute, what one gives to browsers is derived from
// another key, and a session, whose id anybody may show, says in its record whose it is.
type site struct {
	name string
	tag  string // of 8 bytes, for records
	own  string // the value of the field that makes a record a session of the site
}

const maxSite = 200 // bytes

func newSite(name string) site {
	h := sha256.Sum256(packed.AppendString([]byte("site"), name))
	return site{name: name, tag: string(h[:8]), own: string(packed.AppendString(nil, string(h[:8])))}
}

// site returns the name in c, or that of base. A name that is a base URL stands for its origin, however it
// is written.
func (c *Config) site(base *url.URL) string {
	if c.Site == "" {
		return origin(base)
	}
	if u, err := checkBaseURL(c.Site); err == nil {
		return origin(u)
	}
	return c.Site
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func checkSite(name string) (errs mistakes) {
	printable := true
	for _, c := range []byte(name) {
		printable = printable && ' ' < c && c < 0x7f
	}
	if len(name) > maxSite || !printable {
		errs.add("Site %q: want at most %d printable ASCII characters and no space, such as https://app.example.com", name, maxSite)
	}
	return errs
}

// id returns the name of a record that belongs to the site, of what tells it from others of its kind.
func (s *site) id(parts ...string) string {
	var short [256]byte
	b := packed.AppendString(short[:0], s.name)
	for _, p := range parts {
		b = packed.AppendString(b, p)
	}
	h := sha256.Sum256(b)
	return text(h[:])
}

// account identifies a person for good: by issuer and subject, never by an e-mail address.
func (s *site) account(id *providers.Identity) string { return s.id(id.Issuer, id.Subject) }

// person is the key of the record that lists the accounts of one of the app's users: more than one
// if they have linked providers.
func (s *site) person(user string) sessionstore.Key {
	return sessionstore.Key{Kind: kindPerson, ID: s.id(user)}
}

// providerSession is the key of the index of a session at the provider, by issuer and sid claim: what a
// logout that starts there names. OpenID Connect Back-Channel Logout 1.0, section 2.4.
func (s *site) providerSession(issuer, sid string) sessionstore.Key {
	return sessionstore.Key{Kind: kindIndex, ID: s.id("sid", issuer, sid)}
}

// born is the field that makes a record a session of the site.
func (s *site) born(version uint64) sessionstore.Field {
	return sessionstore.Field{Name: fieldBorn, Value: s.own, Version: version}
}

// bore reports that born is of a session of the site. Most are s.own, which [sessionstore.Record.Holds] knows
// without opening it into a string; a later version may say more behind it.
func (s *site) bore(born sessionstore.Field) (bool, error) {
	r := packed.Read(born.Value)
	tag := r.String()
	return tag == s.tag, r.Err()
}
