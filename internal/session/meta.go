package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// Kind is the kind of a session's record.
const Kind = "session"

// Fields of a session's record. Those of the app, of grants and of page states have a name of
// their own behind the prefix.
const (
	FieldBorn  = "born" // its version marks this record among all that ever had its id
	FieldMeta  = "meta"
	FieldUser  = "user" // the account, as of the sign-in
	prefixApp  = "v:"
	prefixPage = "p:"
)

// Meta is what the kit itself keeps of a session.
type Meta struct {
	Created, Deadline time.Time
	Current           string // hash of the cookie's secret
	Previous          string // hash of the one before it
	previousUntil     time.Time
	previousSame      bool   // the user and the level were the same before, and nobody asked for another secret
	User              string // key of the account; "" while anonymous
	Provider          string // of the sign-in
	SignedIn          time.Time
	ACR               string
	Persist           bool      // the cookie outlives the browser
	Renewed           time.Time // when RenewToken was asked for last
	Unseen            bool      // no request has shown the current secret yet
}

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
	if r.More() { // an earlier version did not note it
		m.Renewed, m.Unseen = r.Time(), r.Bool()
	}
	return m, r.Err()
}

// BornField makes a record a session of the site.
func (a *Sessions) BornField(version uint64) sessionstore.Field {
	return sessionstore.Field{Name: FieldBorn, Value: a.Env.Site.PackedTag, Version: version}
}

// ofSite reports that born is of a session of the site. Most are Own, which [sessionstore.Record.Holds] knows
// without opening it into a string; a later version may say more behind it.
func (a *Sessions) ofSite(born sessionstore.Field) (bool, error) {
	r := packed.Read(born.Value)
	tag := r.String()
	return tag == a.Env.Site.Tag, r.Err()
}
