package session

import (
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// maxEndings is how many endings a session keeps. Each is a field whose name begins with prefixEnd.
const (
	maxEndings = 4
	prefixEnd  = "e:"
)

// An Ending is how a sign-in of this session ended.
type Ending struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Result   string    `json:"result"` // "signed_in", or a Reason such as "denied"
	At       time.Time `json:"at"`
}

// EndingFields returns the fields of s that change when a sign-in ends with e now. Fields of the oldest endings
// are deleted.
func (a *Sessions) EndingFields(s *View, e Ending) (set []sessionstore.Field, del []string) {
	b := packed.AppendTime(nil, a.Env.Clock())
	b = packed.AppendString(b, e.Provider)
	b = packed.AppendString(b, e.Result)
	return []sessionstore.Field{{Name: prefixEnd + e.ID, Value: string(b)}}, oldest(s, prefixEnd, maxEndings-1)
}

// Endings returns how the latest sign-ins of s ended.
func (s *View) Endings() []Ending {
	var es []Ending
	for f := range s.Record.Prefix(prefixEnd) {
		r := packed.Read(f.Value)
		e := Ending{ID: f.Name[len(prefixEnd):], At: r.Time(), Provider: r.String(), Result: r.String()}
		if r.Err() == nil {
			es = append(es, e)
		}
	}
	return es
}

// oldest returns the names of the oldest fields with that prefix, so that keep are left without them. The value
// of such a field begins with a time.
func oldest(s *View, prefix string, keep int) []string {
	if s.Born == 0 {
		return nil
	}
	type aged struct {
		name string
		at   time.Time
	}
	var all []aged
	for f := range s.Record.Prefix(prefix) {
		r := packed.Read(f.Value)
		all = append(all, aged{f.Name, r.Time()})
	}
	if len(all) <= keep {
		return nil
	}
	slices.SortFunc(all, func(x, y aged) int { return x.at.Compare(y.at) })
	var names []string
	for _, x := range all[:len(all)-keep] {
		names = append(names, x.name)
	}
	return names
}
