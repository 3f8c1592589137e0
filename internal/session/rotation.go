package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
)

// The previous secret stays good for previousLife, because the browser may not have received the current one.
// Once the browser has shown that, requests that it sent before are under way for previousRest at most.
const (
	previousLife = 10 * time.Minute
	previousRest = 30 * time.Second
)

// Rotate makes secret the current one. If keep is true, the secret before it opens the session for a while
// longer. keep may be true only if the user and the level stay the same, and if the app did not call
// RenewToken.
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

// shown reports whether the request shows that the browser has the current secret, and the record does not say
// so yet. Then the previous secret ends earlier, and no answer is sent again.
func (s *View) shown(now time.Time) bool {
	return s.Standing == Current && (s.Meta.Unseen || s.Meta.Previous != "" && s.Meta.previousUntil.After(now.Add(previousRest)))
}
