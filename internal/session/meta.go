package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// Kind is the kind of a session's record.
const Kind = "session"

// Fields of a session's record. Values of the app, page states and grants are one field each: a prefix and a
// name.
const (
	FieldBorn  = "born" // its version tells this record from every other one with the same id
	FieldMeta  = "meta" // [Meta]
	FieldUser  = "user" // the account at the time of the sign-in, for internal/account to read
	prefixApp  = "v:"
	prefixPage = "p:"
)

// Meta is what the kit itself keeps of a session.
type Meta struct {
	Created, Deadline time.Time
	Current           string    // hash of the cookie's secret
	Previous          string    // hash of the secret before it; "" if there is none
	previousUntil     time.Time // the previous secret is worth nothing from then on
	previousSame      bool      // the previous secret opens the session
	User              string    // key of the account; "" while anonymous
	Provider          string    // of the sign-in
	SignedIn          time.Time
	ACR               string    // of the sign-in
	Persist           bool      // the cookie outlives the browser
	Renewed           time.Time // when RenewToken was called last
	Unseen            bool      // no request has shown the current secret yet
}

// Pack returns the stored form of m, the value of [FieldMeta].
func (m *Meta) Pack() string {
	b := make([]byte, 0, 224)
	b = packed.AppendTime(b, m.Created)
	b = packed.AppendTime(b, m.Deadline)
	b = packed.AppendString(b, m.Current)
	b = packed.AppendString(b, m.Previous)
	b = packed.AppendTime(b, m.previousUntil)
	b = packed.AppendBool(b, m.previousSame)
	b = packed.AppendString(b, m.User)
	b = packed.AppendString(b, m.Provider)
	b = packed.AppendTime(b, m.SignedIn)
	b = packed.AppendString(b, m.ACR)
	b = packed.AppendBool(b, m.Persist)
	b = packed.AppendTime(b, m.Renewed)
	b = packed.AppendBool(b, m.Unseen)
	return string(b)
}

// unpackMeta returns the Meta that was packed into s.
func unpackMeta(s string) (Meta, error) {
	r := packed.Read(s)
	m := Meta{
		Created:       r.Time(),
		Deadline:      r.Time(),
		Current:       r.String(),
		Previous:      r.String(),
		previousUntil: r.Time(),
		previousSame:  r.Bool(),
		User:          r.String(),
		Provider:      r.String(),
		SignedIn:      r.Time(),
		ACR:           r.String(),
		Persist:       r.Bool(),
	}
	if r.More() { // an earlier version did not store it
		m.Renewed, m.Unseen = r.Time(), r.Bool()
	}
	return m, r.Err()
}

// BornField returns the field that makes a record a session of the site, with that version.
func (a *Sessions) BornField(version uint64) sessionstore.Field {
	return sessionstore.Field{Name: FieldBorn, Value: a.Env.Site.PackedTag, Version: version}
}

// ofSite reports whether born is that of a session of the site. Most are equal to the site's packed tag, which
// [sessionstore.Record.Holds] compares without opening the value into a string. A later version may store more
// behind the tag.
func (a *Sessions) ofSite(born sessionstore.Field) (bool, error) {
	r := packed.Read(born.Value)
	tag := r.String()
	return tag == a.Env.Site.Tag, r.Err()
}
