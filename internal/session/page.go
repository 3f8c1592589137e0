package session

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	maxPage  = 16 << 10
	maxPages = 8                // per session: the oldest goes
	pageLife = time.Hour        // before the return: as long as a sign-in may take
	pageRest = 10 * time.Minute // after it
)

// pageState is what was saved for one page.
type pageState struct {
	until time.Time
	user  string // who saved it; "" nobody
	JSON  string
}

func (p *pageState) field(id string) sessionstore.Field {
	b := packed.AppendTime(nil, p.until)
	b = packed.AppendString(b, p.user)
	return sessionstore.Field{Name: prefixPage + id, Value: string(packed.AppendString(b, p.JSON))}
}

func unpackPage(s string) (pageState, error) {
	r := packed.Read(s)
	p := pageState{until: r.Time(), user: r.String(), JSON: r.String()}
	return p, r.Err()
}

// PageID returns the id of the page state that was saved last in this request; "" if none was.
func (q *Request) PageID() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.page
}

// SavePage keeps a page state for the sign-in that starts next in this request.
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
	p := pageState{until: now.Add(pageLife), JSON: json}
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

// ClearPage forgets the page state of that id, and reports whether it was the request's.
func (q *Request) ClearPage(id string) bool {
	if _, ok := q.PageState(id); !ok {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget = append(q.forget, prefixPage+id)
	return true
}

// PageState returns the one of that id, if it is for the request.
func (q *Request) PageState(id string) (p pageState, ok bool) {
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

// ReturnFields returns what a sign-in that ends so, and succeeds, changes besides: the page state of that id now belongs to
// the user who came back, and the other tabs learn how it ended. It comes along from origin, the session in
// which the sign-in started, where that is another.
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
