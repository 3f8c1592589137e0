package session

import (
	"time"
)

// Idle returns how long a session is kept after its last use; 0 means until its deadline.
func (a *Sessions) Idle(m *Meta) time.Duration {
	if m.User == "" {
		return GuestIdle(a.AnonymousIdle, a.Manager.IdleTimeout)
	}
	return a.Manager.IdleTimeout
}

// GuestIdle returns how long a session in which nobody signed in is kept after its last use: the idle timeout
// of all sessions, where there is one, limits it, too.
func GuestIdle(anonymous, idle time.Duration) time.Duration {
	if idle > 0 {
		return min(anonymous, idle)
	}
	return anonymous
}

// Expiry returns when the store may forget a session that was used at now.
func (a *Sessions) Expiry(m *Meta, now time.Time) time.Time {
	if d := a.Idle(m); d > 0 && now.Add(d).Before(m.Deadline) {
		return now.Add(d)
	}
	return m.Deadline
}

// touch returns the new expiry of s if it is worth a write, which is at most ten times per idle timeout; zero
// otherwise.
func (a *Sessions) touch(s *View, now time.Time) time.Time {
	d := a.Idle(&s.Meta)
	if d == 0 {
		return time.Time{}
	}
	if e := a.Expiry(&s.Meta, now); e.Sub(s.Record.Expires) >= d/10 {
		return e
	}
	return time.Time{}
}

// upToDate reports whether a request that changed nothing has nothing to write about s.
func (a *Sessions) upToDate(s *View, now time.Time) bool {
	return !s.shown(now) && a.touch(s, now).IsZero()
}
