package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// Limits of page states.
const (
	maxPage  = 16 << 10         // bytes of JSON
	maxPages = 8                // in a session; the oldest is removed first
	pageLife = time.Hour        // before the sign-in ends: as long as a sign-in may take
	pageRest = 10 * time.Minute // afterwards
)

// A PageState is what the app has saved for one page before a sign-in.
type PageState struct {
	until time.Time
	user  string // the user who saved it; "" if nobody was signed in
	JSON  string // the saved value
}

// field returns the field of a session's record that stores p under id.
func (p *PageState) field(id string) sessionstore.Field {
	b := packed.AppendTime(nil, p.until)
	b = packed.AppendString(b, p.user)
	return sessionstore.Field{Name: prefixPage + id, Value: string(packed.AppendString(b, p.JSON))}
}

// unpackPage returns the page state that was stored as s.
func unpackPage(s string) (PageState, error) {
	r := packed.Read(s)
	p := PageState{until: r.Time(), user: r.String(), JSON: r.String()}
	return p, r.Err()
}

// PageID returns the id of the page state that this request saved last; "" if it saved none.
func (q *Request) PageID() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.page
}

// SavePage saves a page state for the next sign-in that starts in this request.
func (q *Request) SavePage(json string) error {
	if len(json) > maxPage {
		return ErrPageTooLarge
	}
	id, err := q.Sessions.Env.RandomText(12)
	if err != nil {
		return err
	}
	s, now := q.View(), q.Sessions.Env.Clock()
	if err := s.unsavable(); err != nil {
		q.mu.Lock()
		q.refused = err
		q.mu.Unlock()
		return err
	}
	p := PageState{until: now.Add(pageLife), JSON: json}
	if s.SignedIn() {
		p.user = s.Meta.User
	}
	full := oldest(s, prefixPage, maxPages-1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.page = id
	q.pages = append(q.pages, p.field(id))
	q.forget = append(q.forget, full...)
	return nil
}

// ClearPage removes the page state of id, and reports whether the request has it.
func (q *Request) ClearPage(id string) bool {
	if _, ok := q.PageState(id); !ok {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget = append(q.forget, prefixPage+id)
	return true
}

// PageState returns the page state of id. ok is false if there is none, if it has expired, or if another user
// saved it.
func (q *Request) PageState(id string) (p PageState, ok bool) {
	s := q.View()
	if !keys.Token(id, 16) || !s.Opens() {
		return p, false
	}
	f, ok := s.Record.Field(prefixPage + id)
	if !ok {
		return p, false
	}
	p, err := unpackPage(f.Value)
	if err != nil {
		q.Sessions.Env.Log.Unread(q.Outer, Kind, prefixPage, err)
	}
	if err != nil || !q.Sessions.Env.Clock().Before(p.until) || p.user != "" && p.user != s.Meta.User {
		return p, false
	}
	return p, true
}

// ReturnFields returns the fields of s that change when a sign-in of user ends with e and succeeds: the ending,
// and the page state of page, if page is not "". The page state then belongs to user. It is copied from origin,
// the session in which the sign-in started, if s does not have it.
func (a *Sessions) ReturnFields(s, origin *View, e Ending, page, user string) (set []sessionstore.Field, del []string) {
	set, del = a.EndingFields(s, e)
	if page == "" {
		return set, del
	}
	field, ok := s.Record.Field(prefixPage + page)
	if !ok {
		if field, ok = origin.Record.Field(prefixPage + page); !ok {
			return set, del
		}
		del = append(del, oldest(s, prefixPage, maxPages-1)...)
	}
	if p, err := unpackPage(field.Value); err == nil && (p.user == "" || p.user == user) {
		p.user, p.until = user, a.Env.Clock().Add(pageRest)
		set = append(set, p.field(page))
	}
	return set, del
}
