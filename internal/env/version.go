package env

import (
	"math/rand/v2"

	"github.com/returnleg/returnleg/sessionstore"
)

// Version returns a version for a field that is written anew: random, so that a field that was
// deleted and made again is not mistaken for its predecessor.
func Version() uint64 { return rand.Uint64() | 1 }

// VersionOf returns the version of a field, 0 if it is not there. That of a field which does not open
// counts: it was sealed by a key that has gone since, and is there all the same.
func VersionOf(rec sessionstore.Record, name string) uint64 {
	for n, version := range rec.Versions() {
		if n == name {
			return version
		}
	}
	return 0
}
