package env

import (
	"crypto/sha256"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
)

// A Site is what sessions, accounts and sign-outs belong to. Two sites may share a store and its keys. A record
// of one site has a name that the other one does not compute, and values for browsers are derived from another
// key. The id of a session is random, and may be shown to another site. So the record of a session says to
// which site it belongs.
type Site struct {
	name      string
	Tag       string // 8 bytes that stand for the name in records
	PackedTag string // Tag as a stored value
}

// NewSite returns the site of that name: the base URL, unless the app says otherwise.
func NewSite(name string) Site {
	h := sha256.Sum256(packed.AppendString([]byte("site"), name))
	return Site{name: name, Tag: string(h[:8]), PackedTag: string(packed.AppendString(nil, string(h[:8])))}
}

// ID returns the name of a record that belongs to the site. parts tell it from others of its kind.
func (s *Site) ID(parts ...string) string {
	var short [256]byte
	b := packed.AppendString(short[:0], s.name)
	for _, p := range parts {
		b = packed.AppendString(b, p)
	}
	h := sha256.Sum256(b)
	return keys.Text(h[:])
}
