package account

import (
	"errors"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// isEntry reports that a field is a session's: its name is the id. Others are the profile, the mark, and what a
// later version of this kit may add.
func isEntry(name string) bool { return keys.Token(name, 22) }

func entryValue(deadline time.Time, device string, listed time.Time) string {
	b := packed.AppendTime(make([]byte, 0, 32+len(device)), deadline)
	return string(packed.AppendTime(packed.AppendString(b, device), listed))
}

// unpackEntry reads an entry. One that cannot be read is one all the same: its session is found by its name.
func unpackEntry(s string) (deadline time.Time, device string, listed time.Time, ok bool) {
	r := packed.Read(s)
	deadline, device, listed = r.Time(), r.String(), r.Time()
	if r.Err() != nil {
		return time.Time{}, "", time.Time{}, false
	}
	return deadline, device, listed, true
}

// An Entry is where a session is listed while it is being made.
type Entry struct {
	sid    string
	began  time.Time // before it was written
	Places []place
}

// Marked reports that somebody signed the person out between two tries of one sign-in.
func (e Entry) Marked(later Entry) bool {
	return !slices.EqualFunc(e.Places, later.Places, func(x, y place) bool { return x.Mark == y.Mark })
}

type place struct {
	key  sessionstore.Key
	Mark uint64
}

var errEntry = errors.New("middleware: index: malformed entry")

// A listing is an entry as it is read, and the session of that id.
type listing struct {
	sid           string
	until, listed time.Time
	session       session.View // none: there is none, or nobody has looked
}

func (l *listing) key() sessionstore.Key {
	return sessionstore.Key{Kind: session.Kind, ID: l.sid}
}
