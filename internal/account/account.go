package account

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// Account is a person of an app: see Account of the package middleware.
type Account struct {
	ID                  string
	Identity            providers.Identity
	Provider            string
	FirstSeen, LastSeen time.Time
}

// profile returns the value of the profile of an account. It has no claims: those are in each session, for as
// long as that lasts.
func (acc *Account) profile() string {
	p := *acc
	p.Identity.Claims = nil
	return p.Pack()
}

// Pack returns a one, and behind it what a session keeps of the account, for [Unpack].
func (acc *Account) Pack() string {
	id := &acc.Identity
	// Lengths and times take less than 64 bytes.
	var b packed.Builder
	b.Grow(1 + 64 + len(acc.ID) + len(id.Issuer) + len(id.Subject) + len(id.Email) + len(id.Name) + len(id.Username) +
		len(id.Picture) + len(id.ACR) + len(id.Claims) + len(acc.Provider))
	b.Byte(1)
	b.Text(acc.ID)
	b.Time(acc.FirstSeen)
	b.Time(acc.LastSeen)
	b.Text(id.Issuer)
	b.Text(id.Subject)
	b.Text(id.Email)
	b.Bool(id.EmailVerified)
	b.Text(id.Name)
	b.Text(id.Username)
	b.Text(id.Picture)
	b.Time(id.AuthTime)
	b.Text(id.ACR)
	b.Uint(uint64(len(id.Claims)))
	_, _ = b.Write(id.Claims)
	b.Text(acc.Provider)
	return b.String()
}

// Unpack reads what [Account.Pack] has returned, without its first byte.
func Unpack(s string) (Account, error) {
	acc, claims, err := read(s)
	if claims != "" {
		acc.Identity.Claims = json.RawMessage(claims)
	}
	return acc, err
}

// read is [Unpack] without a copy of anything: it returns the claims beside the account.
func read(s string) (acc Account, claims string, err error) {
	r := packed.Read(s)
	acc = Account{ID: r.String(), FirstSeen: r.Time(), LastSeen: r.Time()}
	acc.Identity = providers.Identity{
		Issuer: r.String(), Subject: r.String(), Email: r.String(), EmailVerified: r.Bool(),
		Name: r.String(), Username: r.String(), Picture: r.String(),
		AuthTime: r.Time(), ACR: r.String(),
	}
	claims, acc.Provider = r.String(), r.String()
	if err = r.Err(); err == nil && acc.ID == "" {
		err = errNobody
	}
	return acc, claims, err
}

var errNobody = errors.New("middleware: account: no ID")

// BelongsTo reports that s, which is listed under an account of user, is not of somebody else to whom
// OnLogin has given that account since, or who had it before. A session that does not say counts as user's.
func BelongsTo(s *session.View, user string) bool {
	f, ok := s.Record.Field(session.FieldUser)
	if !ok {
		return true
	}
	acc, err := Unpack(f.Value)
	return err != nil || acc.ID == user
}

// Readable returns why the account in a session cannot be read, or nil if it can.
func Readable(user string) error {
	_, _, err := read(user)
	return err
}
