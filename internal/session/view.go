package session

import (
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// View is one request's view of a session record.
type View struct {
	ID, Secret  string // presented
	Standing    Standing
	Record      sessionstore.Record
	Meta        Meta
	Born        uint64
	MetaVersion uint64
	entitled    bool // the cookie has been replaced since it came: what the request changes is saved still
	taken       bool // absent, and something else has its id: a tombstone, or what cannot be read
}

// Opens reports whether the request may read and write the record.
func (s *View) Opens() bool { return s.Standing == Current || s.Standing == Previous }

func (s *View) SignedIn() bool { return s.Opens() && s.Meta.User != "" }

// Anonymous reports that the request has a session, or could have one, in which nobody is signed in.
func (s *View) Anonymous() bool {
	return s.Standing == Unstored || s.Opens() && s.Meta.User == ""
}

// StartsNew reports that a start with this cookie gets another session: its own is not there, is not the
// cookie's any more, or is one to which a sign-in would bring whoever knew the cookie before RenewToken.
func (s *View) StartsNew() bool {
	return s.ID == "" || s.Standing == Absent || s.Standing == Stale || s.Standing == Superseded && s.Meta.User == ""
}

// Replaced reports that the cookie of the request is not the session's any more, and was not when it came.
func (s *View) Replaced() bool {
	return (s.Standing == Superseded || s.Standing == Stale) && !s.entitled
}

// writable reports whether the request may change the record.
func (s *View) writable() bool { return s.Opens() || s.entitled }

// unsavable returns why the request cannot keep anything; nil if it may be able to.
func (s *View) unsavable() error {
	switch {
	case s.Standing == Withheld:
		return ErrWithheld
	case s.Replaced():
		return errReplaced
	}
	return nil
}

func (s *View) Key() sessionstore.Key { return sessionstore.Key{Kind: Kind, ID: s.ID} }

// Lineage is the condition of every change to a session: the record is still the one that was
// read, and not another that came to have its id after a sign-out.
func (s *View) Lineage() sessionstore.Match {
	return sessionstore.Match{Name: FieldBorn, Version: s.Born}
}

// Fingerprint tells the session and its user from others; "" if nobody is signed in.
func (s *View) Fingerprint() string {
	if !s.SignedIn() {
		return ""
	}
	return keys.Hash(s.ID + "." + s.Meta.User)
}
