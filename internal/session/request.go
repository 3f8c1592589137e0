package session

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A Request is what one request has to do with its session. It is part of the request's context: see outer.
type Request struct {
	Sessions    *Sessions
	Outer       context.Context // the request's: what the app's hooks and the log are given
	Header      Header          // of its answer
	FormerToken string          // the cookie of a session of before, if it shows one

	First View                 // as it was loaded
	Now   atomic.Pointer[View] // as it is now: &first until something was saved

	Varied     atomic.Bool // somebody looked at the session
	FromFormer bool        // the session is that of a [Former]'s cookie
	TookOver   bool        // it was taken over just now

	mu        sync.Mutex // guards what follows, and saving
	data      scsData
	pages     []sessionstore.Field // page states to save
	forget    []string             // page states to forget
	page      string               // id of the one saved last
	SignsOut  bool                 // to be done with the next save
	renew     bool                 // likewise
	signedOut bool                 // it has signed out
	refused   error                // why a page state was not kept
	saved     error                // what the latest explicit save returned
	notes     []func()             // events that the log has to be told
}

// A Header takes the cookies of an answer. It is called while the visit is locked, so that a record is not left without its cookie.
type Header interface {
	// open reports that the header can still be changed.
	Open() bool

	// set gives the browser the cookie of a session. If rotated is set, the one before it is worth nothing.
	Set(id, secret string, expires time.Time, persist, rotated bool)

	// clear takes the cookie of the session away.
	Clear()

	// clearFormer takes the cookie of a session of before away.
	ClearFormer()
}

// Init makes q the visit of a request to the sessions s: outer is the request's context, and h the header of its answer.
func (q *Request) Init(s *Sessions, outer context.Context, h Header) {
	q.Sessions, q.Outer, q.Header = s, outer, h
	q.Now.Store(&q.First)
}

// SignedIn reports that somebody is signed in.
func (q *Request) SignedIn() bool { return q.Now.Load().SignedIn() }

// View returns the session as it is now. Once somebody looked at it, the answer depends on the cookie.
func (q *Request) View() *View {
	q.Varied.Store(true)
	return q.Now.Load()
}

// Locked calls f while nothing of q is saved.
func (q *Request) Locked(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// ShowChange shows a change that was made of the record to the rest of the request.
func (q *Request) ShowChange(c sessionstore.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now.Load()
	q.show(now, c, now.Meta)
}

// ShowField shows a field that was changed to the rest of the request, if somebody is signed in.
func (q *Request) ShowField(f sessionstore.Field) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := *q.Now.Load()
	if !s.SignedIn() {
		return
	}
	rec, err := s.Record.Apply(sessionstore.Change{Set: []sessionstore.Field{f}})
	if err != nil {
		return
	}
	s.Record = rec
	q.Now.Store(&s)
}

// show notes what c made of s, for the rest of the request.
func (q *Request) show(s *View, c sessionstore.Change, m Meta) {
	n := *s
	c.If = nil
	if rec, err := s.Record.Apply(c); err == nil {
		n.Record = rec
	}
	if f, ok := n.Record.Field(FieldMeta); ok {
		n.MetaVersion = f.Version
	}
	n.Meta = m
	q.Now.Store(&n)
}

// note keeps an event for [request.tell]. The caller holds q.mu: whoever handles the log may ask the
// session who it is about, and would wait for it for ever.
func (q *Request) note(level slog.Level, what string, code string, attrs ...slog.Attr) {
	log := q.Sessions.Env.Log.Visitor
	if q.Now.Load().SignedIn() { // who may not be, any more, when the event is told
		log = q.Sessions.Env.Log.Event
	}
	q.notes = append(q.notes, func() { log(q.Outer, level, what, code, attrs...) })
}

// tell logs what was noted.
func (q *Request) tell() {
	q.mu.Lock()
	notes := q.notes
	q.notes = nil
	q.mu.Unlock()
	for _, event := range notes {
		event()
	}
}
