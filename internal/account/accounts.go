package account

import (
	"sync"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Accounts are the people of an app.
type Accounts struct {
	Env      *env.Env
	Sessions *session.Sessions

	admissions sync.Map // *admission to nothing: of sign-ins that the app is asked about now
}

const (
	kindAccount = "account" // of a person, by issuer and subject
	kindIndex   = "index"   // of a session at a provider, by issuer and its id there
	kindPerson  = "person"  // of one of the app's users
)

// KeyOf returns the key of the account of id. It comes from issuer and subject, never from an e-mail address.
func (a *Accounts) KeyOf(id *providers.Identity) string {
	return a.Env.Site.ID(id.Issuer, id.Subject)
}

// accountKey returns the key of the record of an account of this site.
func accountKey(account string) sessionstore.Key {
	return sessionstore.Key{Kind: kindAccount, ID: account}
}

// personKey returns the key of the record that lists the accounts of one of the app's users: more than one
// if they have linked providers.
func (a *Accounts) personKey(user string) sessionstore.Key {
	return sessionstore.Key{Kind: kindPerson, ID: a.Env.Site.ID(user)}
}

// providerSessionKey returns the key of the index of a session at the provider, by issuer and sid claim: what
// a logout that starts there names. OpenID Connect Back-Channel Logout 1.0, section 2.4.
func (a *Accounts) providerSessionKey(issuer, sid string) sessionstore.Key {
	return sessionstore.Key{Kind: kindIndex, ID: a.Env.Site.ID("sid", issuer, sid)}
}
