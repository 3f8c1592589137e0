package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
)

// Windows in which the previous secret is still good. Until the browser has shown the new one it
// may not have received it; requests that left before it did are under way a little longer.
const (
	previousLife = 10 * time.Minute
	previousRest = 30 * time.Second
)

// Rotate makes secret the current one. The one before it stays as good for a while if keep says so, which
// it may where the user and the level are the same, and nobody asked for another secret.
func (m *Meta) Rotate(secret string, keep bool, now time.Time) {
	h := keys.Hash(secret)
	if h == m.Current {
		return
	}
	m.Previous, m.previousUntil, m.previousSame = m.Current, now.Add(previousLife), keep
	m.Current, m.Unseen = h, true
}

// seen notes that the browser has the current secret.
func (m *Meta) seen(now time.Time) {
	m.Unseen = false
	if until := now.Add(previousRest); m.Previous != "" && m.previousUntil.After(until) {
		m.previousUntil = until
	}
}

// shown reports that the browser has the current secret, which is not noted yet: the previous one, which
// is still good for long, need not be, and no answer is repeated any more.
func (s *View) shown(now time.Time) bool {
	return s.Standing == Current && (s.Meta.Unseen || s.Meta.Previous != "" && s.Meta.previousUntil.After(now.Add(previousRest)))
}
