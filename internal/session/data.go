package session

import (
	"fmt"
	"slices"

	"github.com/returnleg/returnleg/internal/values"
)

// scsData is the session's data as the scs manager sees it.
type scsData struct {
	loaded any               // what the manager keeps in a context; nil until it asks
	seen   *View             // the session whose values it has
	frames []frame           // the stored form of those values
	base   map[string]string // the stored form that a save compares with, by key; nil: that of seen
	values map[string]any    // guarded by the manager's own lock

	deleted bool // Destroy or RenewToken has called appStore.DeleteCtx

	preview *View // the session that OnLogin sees in place of the request's; nil outside of OnLogin
}

// PreviewBase returns the stored values, by key, of the session that [Request.Preview] shows, or of s if it
// shows none.
func (q *Request) PreviewBase(s *View) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.data.preview != nil {
		s = q.data.preview
	}
	return q.data.baseline(s)
}

// Preview makes s the session whose values the app sees, as OnLogin sees those of the session that the sign-in
// will have. After Preview(nil) the app sees those of the request's own again.
func (q *Request) Preview(s *View) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.data = scsData{preview: s}
}

// A frame is a value of the app as it is stored.
type frame struct{ key, bytes string }

// decode returns the app's values, and the frames that they were decoded from. A value that cannot be decoded
// is missing from both, and stays in the store as it is: a later version of the app may have written it. unread
// is the error of one of those.
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
	if d.seen != s { // the session has changed since they were decoded
		_, frames, _ = decode(s)
	}
	base := make(map[string]string, len(frames))
	for _, f := range frames {
		base[f.key] = f.bytes
	}
	return base
}

// loaded reports whether the manager has asked for its data.
func (q *Request) loaded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.data.loaded != nil
}

// elsewhere reports whether the app sees the values of another session than the request's.
func (q *Request) elsewhere() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.data.preview != nil && q.data.preview.ID != q.Now.Load().ID
}
