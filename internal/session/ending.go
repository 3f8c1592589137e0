package session

import (
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	maxEndings = 4
	prefixEnd  = "e:"
)

// Ending is how a sign-in of this session ended.
type Ending struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Result   string    `json:"result"` // "signed_in", or a Reason such as "denied"
	At       time.Time `json:"at"`
}

// EndingFields returns the fields that note how a sign-in of s ended just now.
func (a *Sessions) EndingFields(s *View, e Ending) (set []sessionstore.Field, del []string) {
	b := packed.AppendTime(nil, a.Env.Clock())
	b = packed.AppendString(b, e.Provider)
	b = packed.AppendString(b, e.Result)
	return []sessionstore.Field{{Name: prefixEnd + e.ID, Value: string(b)}}, oldest(s, prefixEnd, maxEndings-1)
}

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

// oldest returns the names of the fields with that prefix that go so that keep are left. Their
// values begin with a time.
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
