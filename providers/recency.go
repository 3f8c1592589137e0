package providers

import (
	"cmp"
	"time"
)

// A Clocked is a Provider that says how far its clock may be off. One that is no Clocked may be off by a minute.
type Clocked interface {
	ClockSkew() time.Duration
}

// ProvedAt returns when a person proved who they are, by the clock that now is of: authTime is what the provider said
// when they came back, at now, and skew is by how much its clock may be behind. It is never later than now: that is
// when they were seen. A provider that does not say has shown nothing but that they were there: zero.
func ProvedAt(authTime, now time.Time, skew time.Duration) time.Time {
	if authTime.IsZero() {
		return time.Time{}
	}
	if authTime = authTime.Add(max(skew, 0)); authTime.After(now) {
		return now
	}
	return authTime
}

// Recent reports whether what [ProvedAt] returned is at most maxAge ago at now. Providers count in whole seconds, and so
// does Recent; a part of a second in maxAge counts as a whole one, as in the request. A time that is not known is not
// recent. It is the one judgment of [Flow].MaxAge, here and in package middleware.
func Recent(proved, now time.Time, maxAge time.Duration) bool {
	return !proved.IsZero() && now.Truncate(time.Second).Sub(proved.Truncate(time.Second)) <= time.Duration(WholeSeconds(maxAge))*time.Second
}

// WholeSeconds returns d in seconds, a part of one as a whole one: a limit is never lost.
func WholeSeconds(d time.Duration) int64 {
	return int64(d/time.Second) + int64(cmp.Compare(d%time.Second, 0))
}
