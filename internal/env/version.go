package env

import (
	"math/rand/v2"

	"github.com/returnleg/returnleg/sessionstore"
)

// Version returns a version for a field that is written anew. It is random, so that a field that was deleted
// and made again is not mistaken for the one before.
func Version() uint64 { return rand.Uint64() | 1 }

// VersionOf returns the version of a field; 0 if it is not there. A field that does not open, because the key
// that sealed it is gone, has a version, too.
func VersionOf(rec sessionstore.Record, name string) uint64 {
	for n, version := range rec.Versions() {
		if n == name {
			return version
		}
	}
	return 0
}
