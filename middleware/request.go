package middleware

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// request is one request on its way through [Auth.Handler]. It is the request's context, so that
// what handlers ask of the context costs no further layer; and it holds the response writer.
type request struct {
	context.Context
	auth   *Auth
	r      *http.Request // with this context
	writer writer

	first   session                 // as it was loaded
	session atomic.Pointer[session] // as it is now: &first until something was saved

	heir      bool        // the session is that of a [Former]'s cookie
	inherited bool        // it was taken over just now
	stopped   atomic.Bool // by a gate
	posted    url.Values  // the provider's answer, if it came by a form
	told      Reason      // of the page that has loaded itself again as this one
	whose     string      // who was signed in there, see [session.whose]
	found     []string    // its causes, see [Auth.causes]
	reloaded  bool        // the page has loaded itself again: see [request.again]

	mu      sync.Mutex // guards what follows, and saving
	data    scsData
	pages   []sessionstore.Field // page states to save
	forget  []string             // page states to forget
	page    string               // id of the one saved last
	settled *outcome             // of the sign-in that this request finished
	signOut bool                 // to be done with the next save
	renew   bool                 // likewise
	left    bool                 // it has signed out
	refused error                // why SavePage did not keep what it was given
	saved   error                // what the latest Save returned
	notes   []func()             // events that the log has to be told
}

type requestKey struct{}

// Value answers for the request itself and for the data of the scs manager, which it decodes when
// it is asked for: a handler that does not use the session pays nothing for it.
func (q *request) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return q
	}
	if key == q.auth.sessionKey {
		return q.scs()
	}
	return q.Context.Value(key)
}

// Format writes what it is, for every verb: a context that is printed, as it often is, shows no cookie.
func (*request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "middleware.request") }

// from returns the request that ctx belongs to.
func from(ctx context.Context) (*request, error) {
	q, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return nil, ErrNoMiddleware
	}
	return q, nil
}

// view returns the session as it is now. Once somebody looked at it, the answer depends on the cookie.
func (q *request) view() *session {
	q.writer.varied.Store(true)
	return q.session.Load()
}

func (q *request) user() (*Account, error) {
	s := q.view()
	if !s.signedIn() {
		return nil, ErrSignedOut
	}
	f, ok := s.record.Field(fieldUser)
	if !ok {
		return nil, ErrSignedOut
	}
	acc, err := unpackAccount(f.Value)
	if err != nil {
		return nil, ErrSignedOut
	}
	return &acc, nil
}

// of reports that s, which is listed under an account of user, is not of somebody else to whom
// OnLogin has given that account since, or who had it before. One that does not say counts as user's.
func (s *session) of(user string) bool {
	f, ok := s.record.Field(fieldUser)
	if !ok {
		return true
	}
	acc, err := unpackAccount(f.Value)
	return err != nil || acc.ID == user
}

// scsData is the session data as the scs manager sees it.
type scsData struct {
	loaded any               // what the manager keeps in a context
	seen   *session          // whose values it has
	frames []frame           // what they were decoded from
	base   map[string]string // the frames of values as they are stored, by key
	values map[string]any    // guarded by the manager's own lock

	deleted bool // the manager was asked to delete: by Destroy or RenewToken

	shown *session // to OnLogin, in place of the request's; nil everywhere else
}

// foreseen makes s the session whose values are shown; nil: the request's own again.
func (q *request) foreseen(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.data = scsData{shown: s}
}

// foreseenBase returns the frames of the session that is shown, which is s if no other is.
func (q *request) foreseenBase(s *session) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.data.shown != nil {
		s = q.data.shown
	}
	return q.data.baseline(s)
}

// scs returns what the manager keeps in a context, decoding it the first time.
func (q *request) scs() any {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.data.loaded == nil {
		s := q.view()
		if q.data.shown != nil {
			s = q.data.shown
		}
		q.data.seen = s
		var unread error
		q.data.values, q.data.frames, unread = decode(s)
		if unread != nil {
			q.notes = append(q.notes, func() { q.auth.unread(q, kindSession, prefixApp, unread) })
		}
		q.data.loaded = q.auth.present(s, q.data.values)
	}
	return q.data.loaded
}

// A frame is a value of the app as it is stored.
type frame struct{ key, bytes string }

// decode returns the app's values, and what they were decoded from. One that cannot be decoded is
// lost to this request, and stays as it is in the store: a later version of the app may have written it. unread
// is about one of those.
func decode(s *session) (_ map[string]any, _ []frame, unread error) {
	if !s.opens() {
		return map[string]any{}, nil, nil
	}
	frames := make([]frame, 0, s.record.Len())
	for f := range s.record.Prefix(prefixApp) {
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
func (q *request) empty() {
	a := q.auth
	if s := q.session.Load(); q.elsewhere() || !q.loaded() && !s.opens() {
		return
	}
	_ = q.scs()
	sn, err := q.snap()
	if err != nil {
		return // nor can it be saved, which the request hears then
	}
	q.mu.Lock()
	q.signOut, q.renew = q.signOut || sn.ended, q.renew || sn.renewed
	base := q.data.base
	if base == nil && !sn.ended {
		base = q.data.baseline(q.session.Load())
	}
	q.data.base = map[string]string{}
	q.mu.Unlock()
	for key, frame := range base {
		if !sn.modified || sn.frames[key] == frame {
			a.sessions.Remove(q, key)
		}
	}
}

// left notes that the session is over, whose values are still in the manager unless it has emptied them.
// Nobody who comes next is given any: what is saved from now on is what this request itself has put.
func (d *scsData) left(s *session, emptied bool) {
	switch {
	case emptied || d.loaded == nil:
		d.base = map[string]string{}
	case d.base == nil:
		d.base = d.baseline(s)
	}
}

// baseline returns the frames of the values that decode returns for s, by key.
func (d *scsData) baseline(s *session) map[string]string {
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
