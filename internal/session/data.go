package session

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/returnleg/returnleg/internal/values"
)

// scsData is the session data as the scs manager sees it.
type scsData struct {
	loaded any               // what the manager keeps in a context
	seen   *View             // whose values it has
	frames []frame           // what they were decoded from
	base   map[string]string // the frames of values as they are stored, by key
	values map[string]any    // guarded by the manager's own lock

	deleted bool // the manager was asked to delete: by Destroy or RenewToken

	Shown *View // to OnLogin, in place of the request's; nil everywhere else
}

// ForeseenBase returns the frames of the session that is shown, which is s if no other is.
func (q *Request) ForeseenBase(s *View) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Data.Shown != nil {
		s = q.Data.Shown
	}
	return q.Data.Baseline(s)
}

// Foreseen makes s the session whose values are shown; nil: the request's own again.
func (q *Request) Foreseen(s *View) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.Data = scsData{Shown: s}
}

// Scs returns what the manager keeps in a context, decoding it the first time.
func (q *Request) ManagerData() any {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Data.loaded == nil {
		s := q.Look()
		if q.Data.Shown != nil {
			s = q.Data.Shown
		}
		q.Data.seen = s
		var unread error
		q.Data.values, q.Data.frames, unread = decode(s)
		if unread != nil {
			q.notes = append(q.notes, func() { q.Sessions.Env.Log.Unread(q.Outer, Kind, prefixApp, unread) })
		}
		q.Data.loaded = q.Sessions.present(s, q.Data.values)
	}
	return q.Data.loaded
}

// A frame is a value of the app as it is stored.
type frame struct{ key, bytes string }

// decode returns the app's values, and what they were decoded from. One that cannot be decoded is
// lost to this request, and stays as it is in the store: a later version of the app may have written it. unread
// is about one of those.
func decode(s *View) (_ map[string]any, _ []frame, unread error) {
	if !s.Opens() {
		return map[string]any{}, nil, nil
	}
	frames := make([]frame, 0, s.Record.Len())
	for f := range s.Record.Prefix(prefixApp) {
		frames = append(frames, frame{f.Name[len(prefixApp):], f.Value})
	}
	m := make(map[string]any, len(frames))
	frames = slices.DeleteFunc(frames, func(f frame) bool {
		v, err := values.Decode(f.bytes)
		if err == nil {
			m[f.key] = v
		} else {
			unread = fmt.Errorf("middleware: session value %q: %w", f.key, err)
		}
		return err != nil
	})
	return m, frames, unread
}

// empty takes the values of the session out of the manager, but for those that this request has put. A value that it puts
// from now on is told from them by that, although it may be the same.
func (q *Request) empty() {
	a := q.Sessions
	if s := q.Now.Load(); q.elsewhere() || !q.loaded() && !s.Opens() {
		return
	}
	_ = q.ManagerData()
	sn, err := q.Snap()
	if err != nil {
		return // nor can it be saved, which the request hears then
	}
	q.mu.Lock()
	q.SignOut, q.renew = q.SignOut || sn.ended, q.renew || sn.renewed
	base := q.Data.base
	if base == nil && !sn.ended {
		base = q.Data.Baseline(q.Now.Load())
	}
	q.Data.base = map[string]string{}
	q.mu.Unlock()
	for key, frame := range base {
		if !sn.Modified || sn.frames[key] == frame {
			a.Manager.Remove(q.Outer, key)
		}
	}
}

// left notes that the session is over, whose values are still in the manager unless it has emptied them.
// Nobody who comes next is given any: what is saved from now on is what this request itself has put.
func (d *scsData) left(s *View, emptied bool) {
	switch {
	case emptied || d.loaded == nil:
		d.base = map[string]string{}
	case d.base == nil:
		d.base = d.Baseline(s)
	}
}

// Baseline returns the frames of the values that decode returns for s, by key.
func (d *scsData) Baseline(s *View) map[string]string {
	frames := d.frames
	if d.seen != s { // it has changed since
		_, frames, _ = decode(s)
	}
	base := make(map[string]string, len(frames))
	for _, f := range frames {
		base[f.key] = f.bytes
	}
	return base
}

func (q *Request) loaded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Data.loaded != nil
}

// elsewhere reports that what is shown are the values of another session than the request's.
func (q *Request) elsewhere() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Data.Shown != nil && q.Data.Shown.ID != q.Now.Load().ID
}

// unsaved returns what the manager holds for key, and whether that is this request's own doing: it
// has put it, or removed it. A value that was only loaded is not its to give.
func (q *Request) unsaved(s *View, key string) (v any, here, own bool) {
	v, here = q.Sessions.Manager.Get(q.Outer, key), q.Sessions.Manager.Exists(q.Outer, key)
	f, stored := s.Record.Field(prefixApp + key)
	if !stored || !s.Opens() {
		return v, here, here
	}
	old, err := values.Decode(f.Value)
	if err != nil {
		return v, here, here
	}
	return v, here, !here || !reflect.DeepEqual(v, old)
}
