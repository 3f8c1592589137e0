package session

import (
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// A View is a session as one request sees it: the record, and what the cookie of the request is worth.
type View struct {
	ID, Secret  string // of the cookie
	Standing    Standing
	Record      sessionstore.Record
	Meta        Meta
	Born        uint64 // version of [FieldBorn]; 0: there is no record
	MetaVersion uint64 // version of [FieldMeta]
	entitled    bool   // the cookie opened the session when the request came: its changes are saved, although the cookie was replaced since
	taken       bool   // absent, and another record has its id: one that cannot be read, has expired or is of another site
}

// Opens reports whether the request may read and write the record.
func (s *View) Opens() bool { return s.Standing == Current || s.Standing == Previous }

// SignedIn reports whether a user is signed in.
func (s *View) SignedIn() bool { return s.Opens() && s.Meta.User != "" }

// Anonymous reports whether the request has a session, or could have one, in which no user is signed in.
func (s *View) Anonymous() bool {
	return s.Standing == Unstored || s.Opens() && s.Meta.User == ""
}

// StartsNew reports whether a sign-in that starts with this cookie gets a new session. It does if the cookie's
// own session is gone, if the cookie is stale, or if the cookie was replaced by RenewToken while nobody was
// signed in: a sign-in there would also sign in anybody else who knew the replaced cookie.
func (s *View) StartsNew() bool {
	return s.ID == "" || s.Standing == Absent || s.Standing == Stale || s.Standing == Superseded && s.Meta.User == ""
}

// Replaced reports whether the session has another cookie now, and had one already when the request came.
func (s *View) Replaced() bool {
	return (s.Standing == Superseded || s.Standing == Stale) && !s.entitled
}

// writable reports whether the request may change the record.
func (s *View) writable() bool { return s.Opens() || s.entitled }

// unsavable returns why the request cannot save anything; nil if it may be able to.
func (s *View) unsavable() error {
	switch {
	case s.Standing == Withheld:
		return ErrWithheld
	case s.Replaced():
		return errReplaced
	}
	return nil
}

// Key returns the key of the session's record.
func (s *View) Key() sessionstore.Key { return sessionstore.Key{Kind: Kind, ID: s.ID} }

// Lineage returns the condition of every change to a session: the record is the one that was read, and not
// another one that got its id after a sign-out.
func (s *View) Lineage() sessionstore.Match {
	return sessionstore.Match{Name: FieldBorn, Version: s.Born}
}

// Fingerprint returns a hash of the session and its user; "" if no user is signed in.
func (s *View) Fingerprint() string {
	if !s.SignedIn() {
		return ""
	}
	return keys.Hash(s.ID + "." + s.Meta.User)
}
