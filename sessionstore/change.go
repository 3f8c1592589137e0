package sessionstore

import (
	"fmt"
	"time"
)

// A Change is what Update does to a record. The zero Change does nothing, to a record that exists.
type Change struct {
	Mode Mode
	If   []Match // conditions, all of which must hold; judged after Mode

	Set    []Field  // each replaces the field of its name
	Delete []string // names; one that is not there is ignored

	// Expires is when the record ends, cut off to the millisecond. Zero: as before, which
	// only a change with [MustExist] may say. One that has passed ends the record at once.
	Expires time.Time

	Tier Tier // whose share of a bounded store the record counts against
}

// A Match is a condition: the field of that name has that version. A field that is not there
// has version 0. Start a field's versions at a random number: a field that was deleted and made
// anew is then not mistaken for its predecessor.
type Match struct {
	Name    string
	Version uint64
}

// Mode says whether the record of a [Change] must be there already.
type Mode uint8

const (
	MustExist    Mode = iota // the zero value: a late writer revives nothing
	MustNotExist             // create; of several creators, one wins
	MayExist                 // create or change
)

// Tier says whose share of a bounded store a record counts against. Records that anybody on the
// network can cause to exist are guests: they have a budget of their own and never take the room
// of a member.
type Tier uint8

const (
	SameTier Tier = iota // as before; a record that is created is a member
	Guest
	Member
)

// Validate returns an error that wraps [ErrInvalid] if no store may take c: an unknown mode or
// tier, a name that is empty, longer than 128 bytes, or set or deleted twice, a record that may be
// created but does not end, or an end before 1970 or after 9999. Every [Store] asks it first.
func (c *Change) Validate() error {
	if c.Mode > MayExist {
		return fmt.Errorf("%w: mode: %d", ErrInvalid, c.Mode)
	}
	if c.Tier > Member {
		return fmt.Errorf("%w: tier: %d", ErrInvalid, c.Tier)
	}
	if c.Expires.IsZero() && c.Mode != MustExist {
		return fmt.Errorf("%w: expires: a record that is created needs one", ErrInvalid)
	}
	if y := c.Expires.UTC().Year(); !c.Expires.IsZero() && (y < 1970 || y > 9999) {
		return fmt.Errorf("%w: expires: want a year from 1970 to 9999", ErrInvalid)
	}
	for i := range c.If {
		if !nameOK(c.If[i].Name) {
			return fmt.Errorf("%w: condition: name: want 1 to 128 bytes", ErrInvalid)
		}
	}
	for i := range c.Set {
		if !nameOK(c.Set[i].Name) {
			return fmt.Errorf("%w: set: name: want 1 to 128 bytes", ErrInvalid)
		}
	}
	for i := range c.Delete {
		if !nameOK(c.Delete[i]) {
			return fmt.Errorf("%w: delete: name: want 1 to 128 bytes", ErrInvalid)
		}
	}
	if c.repeats() {
		return fmt.Errorf("%w: a name is set or deleted twice", ErrInvalid)
	}
	return nil
}

// valid returns an error that wraps [ErrInvalid] if no store may make c of the record of k.
func valid(k Key, c *Change) error {
	if err := k.Validate(); err != nil {
		return err
	}
	return c.Validate()
}

func nameOK(s string) bool { return len(s) >= 1 && len(s) <= 128 }

// repeats reports whether a name is in Set and Delete twice, or once in each.
func (c *Change) repeats() bool {
	n := len(c.Set) + len(c.Delete)
	if n > fewEdits {
		seen := make(map[string]struct{}, n)
		for i := range c.Set {
			seen[c.Set[i].Name] = struct{}{}
		}
		for _, name := range c.Delete {
			seen[name] = struct{}{}
		}
		return len(seen) < n
	}
	for i := range n {
		for j := range i {
			if c.name(i) == c.name(j) {
				return true
			}
		}
	}
	return false
}

// name returns the i-th of the names that c sets, then deletes.
func (c *Change) name(i int) string {
	if i < len(c.Set) {
		return c.Set[i].Name
	}
	return c.Delete[i-len(c.Set)]
}
