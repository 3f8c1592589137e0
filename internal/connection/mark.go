package connection

import (
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A mark says that a grant is being renewed, and by which renewal. It is a field beside the grant, written by
// compare-and-set before the provider is asked: only the renewal that has written it asks. So a mark with an owner
// stands for a request that may have been sent.
//
// Its holder writes it anew while it works, and as long as it has a renewed token that is not saved. A mark that
// does not change for a lease, by the clock of the process that waits, has a holder that stands still, has lost the
// store, or has died. The waiting process cannot tell which, and takes the mark over only when it has not changed
// for deadTime. In the end the grant's version decides: a result for a version that was replaced is not saved.
//
// A mark without an owner remembers that a request with this token was never answered.
type mark struct {
	owner   string    // the renewal; "": none is under way
	grant   uint64    // version of the grant that it is about
	unheard int       // requests with its token that have no answer
	sent    time.Time // the latest of them
	version uint64    // of the field
}

const (
	prefixMark = "r:"
	lease      = 3 * time.Second

	// deadTime is after how long the holder of a mark counts as dead. A request of a renewal takes less, and many
	// providers that rotate tokens accept a used one for a minute more.
	deadTime = 45 * time.Second

	refreshTime = 30 * time.Second // for waiting, and for one request; less than deadTime

	maxUnheard = 2           // the first, and one in case the provider accepts a used token for a while
	unheardGap = time.Minute // between later ones
)

// markOf returns the mark of the connection with that id, if it is about the grant of that version. Else it is empty but
// for its own version.
func markOf(s *session.View, id string, version uint64) mark {
	m := markedIn(s, id)
	if m.grant != version {
		return mark{version: m.version}
	}
	return m
}

// markedIn returns the mark of the connection with that id, about any grant.
func markedIn(s *session.View, id string) mark {
	f, ok := s.Record.Field(prefixMark + id)
	if !ok {
		return mark{}
	}
	r := packed.Read(f.Value)
	m := mark{owner: r.String(), grant: r.Uint(), unheard: int(r.Uint()), sent: r.Time(), version: f.Version}
	if r.Err() != nil {
		return mark{version: f.Version}
	}
	return m
}

// field returns m as it is stored.
func (m *mark) field(id string) sessionstore.Field {
	b := packed.AppendString(nil, m.owner)
	b = packed.AppendUint(b, m.grant)
	b = packed.AppendUint(b, uint64(m.unheard))
	b = packed.AppendTime(b, m.sent)
	return sessionstore.Field{Name: prefixMark + id, Value: string(b), Version: m.version}
}

// rest returns how long to wait before the token is sent once more: a strict provider takes a token that it has seen
// before for a stolen one.
func (m mark) rest(now time.Time) time.Duration {
	if m.unheard < maxUnheard {
		return 0
	}
	// It is bounded, in case the clock has jumped.
	return min(max(m.sent.Add(unheardGap).Sub(now), 0), unheardGap)
}
