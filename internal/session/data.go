package session

import (
	"fmt"
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

	preview *View // to OnLogin, in place of the request's; nil everywhere else
}

// PreviewBase returns the frames of the session that is shown, which is s if no other is.
func (q *Request) PreviewBase(s *View) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.data.preview != nil {
		s = q.data.preview
	}
	return q.data.baseline(s)
}

// Preview makes s the session whose values are shown; nil: the request's own again.
func (q *Request) Preview(s *View) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.data = scsData{preview: s}
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

// baseline returns the frames of the values that decode returns for s, by key.
func (d *scsData) baseline(s *View) map[string]string {
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
	return q.data.loaded != nil
}

// elsewhere reports that what is shown are the values of another session than the request's.
func (q *Request) elsewhere() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.data.preview != nil && q.data.preview.ID != q.Now.Load().ID
}
