package session

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A Request is the part of one HTTP request that has to do with its session. The outermost context of the HTTP
// request holds it under [RequestKey].
type Request struct {
	Sessions    *Sessions
	Outer       context.Context // the outermost context of the request: the app's hooks and the log get it
	header      Header          // the cookies of the answer
	FormerToken string          // the cookie of a former session; "" if the request has none

	First View                 // the session as it was loaded
	Now   atomic.Pointer[View] // the session as it is now: &First until something was saved

	Varied     atomic.Bool // a handler has read the session, so that the answer depends on the cookie
	FromFormer bool        // the session was found by FormerToken
	TookOver   bool        // this request has taken over the former session, or has sent its cookie again

	mu        sync.Mutex           // held while the session is saved; guards what follows
	data      scsData              // what handlers see through scs
	pages     []sessionstore.Field // page states to save
	forget    []string             // page states to forget
	page      string               // id of the page state that was saved last
	SignsOut  bool                 // the next save ends the session
	renew     bool                 // the next save rotates the secret: RenewToken
	signedOut bool                 // the request has signed out
	refused   error                // why a page state was not kept
	saved     error                // what the latest SaveNow returned
	notes     []func()             // events to log once the lock is free
}

// A Header takes the cookies of an answer. It is called while the request is locked, so that a record is never
// left without its cookie.
type Header interface {
	// Open reports whether the header can still be changed.
	Open() bool

	// Set gives the browser the cookie of a session. If rotated is true, the cookie before it opens nothing any
	// more.
	Set(id, secret string, expires time.Time, persist, rotated bool)

	// Clear removes the cookie of the session.
	Clear()

	// ClearFormer removes the cookie of the former session.
	ClearFormer()
}

// Init makes q ready for a request to the sessions s. outer is the outermost context of the request, and h
// takes the cookies of its answer.
func (q *Request) Init(s *Sessions, outer context.Context, h Header) {
	q.Sessions, q.Outer, q.header = s, outer, h
	q.Now.Store(&q.First)
}

// SignedIn reports whether a user is signed in.
func (q *Request) SignedIn() bool { return q.Now.Load().SignedIn() }

// View returns the session as it is now, and notes that the answer depends on the cookie.
func (q *Request) View() *View {
	q.Varied.Store(true)
	return q.Now.Load()
}

// Locked calls f while q saves nothing.
func (q *Request) Locked(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// ShowChange lets the rest of the request see a change that was made to the record.
func (q *Request) ShowChange(c sessionstore.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now.Load()
	q.show(now, c, now.Meta)
}

// ShowField lets the rest of the request see a field that was changed, if a user is signed in.
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

// show makes s, as c has changed it, the session that the rest of the request sees. m is its meta afterwards.
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

// note keeps an event for [Request.tell]. The caller holds q.mu. A handler of the log may ask for the request's
// user, and would wait for that lock for ever.
func (q *Request) note(level slog.Level, what string, code string, attrs ...slog.Attr) {
	log := q.Sessions.Env.Log.Visitor
	if q.Now.Load().SignedIn() { // judged now: when the event is told, the request may have signed out
		log = q.Sessions.Env.Log.Event
	}
	q.notes = append(q.notes, func() { log(q.Outer, level, what, code, attrs...) })
}

// tell logs the events that were noted.
func (q *Request) tell() {
	q.mu.Lock()
	notes := q.notes
	q.notes = nil
	q.mu.Unlock()
	for _, event := range notes {
		event()
	}
}
