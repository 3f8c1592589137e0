package sessionstore

import "fmt"

// A Key names a record. Kinds keep records of different meaning apart: a store and its sealing
// bind both parts, so that a record of one kind cannot be passed off as another.
type Key struct {
	Kind string // lower-case letters, at most 16, such as "session"
	ID   string // 1 to 64 of A-Z a-z 0-9 - _
}

// Validate returns an error that wraps [ErrInvalid] if no store may take k. Every method of a
// [Store] asks it first. The error does not show the ID.
func (k Key) Validate() error {
	if len(k.Kind) == 0 || len(k.Kind) > 16 {
		return fmt.Errorf("%w: kind: want 1 to 16 lower-case letters", ErrInvalid)
	}
	for i := 0; i < len(k.Kind); i++ {
		if c := k.Kind[i]; c < 'a' || c > 'z' {
			return fmt.Errorf("%w: kind: want 1 to 16 lower-case letters", ErrInvalid)
		}
	}
	if len(k.ID) == 0 || len(k.ID) > 64 {
		return fmt.Errorf("%w: id: want 1 to 64 of A-Z a-z 0-9 - _", ErrInvalid)
	}
	for i := 0; i < len(k.ID); i++ {
		if !idByte(k.ID[i]) {
			return fmt.Errorf("%w: id: want 1 to 64 of A-Z a-z 0-9 - _", ErrInvalid)
		}
	}
	return nil
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// clone returns k in a string of its own. A caller's ID is often a part of something larger, such
// as a cookie, that a map must not keep alive.
func (k Key) clone() Key {
	both := k.Kind + k.ID
	return Key{Kind: both[:len(k.Kind)], ID: both[len(k.Kind):]}
}

// validKeys returns the error of the first of ks that no store may take.
func validKeys(ks []Key) error {
	for _, k := range ks {
		if err := k.Validate(); err != nil {
			return err
		}
	}
	return nil
}
