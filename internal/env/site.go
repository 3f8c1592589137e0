package env

import (
	"crypto/sha256"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
)

// A Site is what sessions, accounts and sign-outs belong to. Two sites may share a store and its keys. A record that one
// of them stores has a name that the other does not compute, what one gives to browsers is derived from
// another key, and a session, whose id anybody may show, says in its record whose it is.
type Site struct {
	name      string
	Tag       string // of 8 bytes, for records
	PackedTag string // the value of the field that makes a record a session of the site
}

func NewSite(name string) Site {
	h := sha256.Sum256(packed.AppendString([]byte("site"), name))
	return Site{name: name, Tag: string(h[:8]), PackedTag: string(packed.AppendString(nil, string(h[:8])))}
}

// ID returns the name of a record that belongs to the site, of what tells it from others of its kind.
func (s *Site) ID(parts ...string) string {
	var short [256]byte
	b := packed.AppendString(short[:0], s.name)
	for _, p := range parts {
		b = packed.AppendString(b, p)
	}
	h := sha256.Sum256(b)
	return keys.Text(h[:])
}
