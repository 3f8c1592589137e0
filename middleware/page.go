package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	maxPage    = 16 << 10
	maxPages   = 8 // per session: the oldest goes
	maxEndings = 4
	pageRest   = 10 * time.Minute // after the return
	prefixEnd  = "e:"
)

// SavePage keeps v, as JSON of at most 16 KB, for the page to which a sign-in comes back: what was
// half filled in, say. The [LoginURL] that is made next in this request carries it along; in the
// tab that comes back, [Returned] gives it again. Only the same session reads it, and only for the
// person who saved it, or who came back for them. It is kept for an hour, and after the return for ten
// minutes more. A session keeps eight; of more, the oldest goes.
// Where nothing can be kept, because the cookie of the request has been replaced since, say, the error wraps
// [ErrNotSaved]; see [Save].
//
//	if err := middleware.SavePage(ctx, form); err != nil { … }
//	to, err := middleware.LoginURL(ctx, middleware.Need{Provider: "vimeo"}, "/library")
func SavePage(ctx context.Context, v any) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("middleware: page state: %w", err)
	}
	if len(b) > maxPage {
		return ErrPageTooLarge
	}
	id, err := q.auth.randomText(12)
	if err != nil {
		return err
	}
	s, now := q.view(), q.auth.now()
	if err := s.unsavable(); err != nil {
		q.mu.Lock()
		q.refused = err
		q.mu.Unlock()
		return err
	}
	p := pageState{until: now.Add(flowLife), json: string(b)}
	if s.signedIn() {
		p.user = s.meta.user
	}
	full := oldest(s, prefixPage, maxPages-1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.page = id
	q.pages = append(q.pages, p.field(id))
	q.forget = append(q.forget, full...)
	return nil
}

// Returned fills v, a pointer, with what [SavePage] kept for the page that this request opens. It
// can be asked again, by a reload say, until [ClearPage]. For any other page it is [ErrNoPage].
func Returned(ctx context.Context, v any) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	_, p, ok := q.pageState()
	if !ok {
		return ErrNoPage
	}
	if err := json.Unmarshal([]byte(p.json), v); err != nil {
		return fmt.Errorf("%w: %w", ErrNoPage, err)
	}
	return nil
}

// ClearPage forgets what [Returned] gives to this request. It is not needed: what was kept goes by
// itself.
func ClearPage(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	id, _, ok := q.pageState()
	if !ok {
		return ErrNoPage
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget = append(q.forget, prefixPage+id)
	return nil
}

// pageState is what was saved for one page.
type pageState struct {
	until time.Time
	user  string // who saved it; "" nobody
	json  string
}

func (p *pageState) field(id string) sessionstore.Field {
	b := packed.AppendTime(nil, p.until)
	b = packed.AppendString(b, p.user)
	return sessionstore.Field{Name: prefixPage + id, Value: string(packed.AppendString(b, p.json))}
}

func unpackPage(s string) (pageState, error) {
	r := packed.Read(s)
	p := pageState{until: r.Time(), user: r.String(), json: r.String()}
	return p, r.Err()
}

// leaving returns the id of the page state that was saved last in this request; "" if none was.
func (q *request) leaving() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.page
}

// pageState returns the one that the request's URL names.
func (q *request) pageState() (id string, p pageState, ok bool) {
	query, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil || len(query[PageParam]) != 1 || !token(query[PageParam][0], 16) {
		return "", p, false
	}
	id = query[PageParam][0]
	s := q.view()
	if !s.opens() {
		return "", p, false
	}
	f, ok := s.record.Field(prefixPage + id)
	if !ok {
		return "", p, false
	}
	p, err = unpackPage(f.Value)
	if err != nil {
		q.auth.unread(q, kindSession, prefixPage, err)
	}
	if err != nil || !q.auth.now().Before(p.until) || p.user != "" && p.user != s.meta.user {
		return "", p, false
	}
	return id, p, true
}

// cameBack returns what a sign-in that succeeds changes besides: the page state now belongs to the
// person who came back, and the other tabs learn how it ended. It comes along from origin, the session in
// which f started, where that is another.
func (a *Auth) cameBack(s, origin *session, f *flow, user string) (set []sessionstore.Field, del []string) {
	set, del = a.ending(s, f, "signed_in")
	if f.page == "" {
		return set, del
	}
	field, ok := s.record.Field(prefixPage + f.page)
	if !ok {
		if field, ok = origin.record.Field(prefixPage + f.page); !ok {
			return set, del
		}
		del = append(del, oldest(s, prefixPage, maxPages-1)...)
	}
	if p, err := unpackPage(field.Value); err == nil && (p.user == "" || p.user == user) {
		p.user, p.until = user, a.now().Add(pageRest)
		set = append(set, p.field(f.page))
	}
	return set, del
}

// ending is how a sign-in of this session ended.
type ending struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Result   string    `json:"result"` // "signed_in", or a Reason such as "denied"
	At       time.Time `json:"at"`
}

// ending returns the fields that note how f ended.
func (a *Auth) ending(s *session, f *flow, result string) (set []sessionstore.Field, del []string) {
	m := f.secrets.flow.Derive("public", string(f.seed[:]))
	b := packed.AppendTime(nil, a.now())
	b = packed.AppendString(b, f.provider)
	b = packed.AppendString(b, result)
	return []sessionstore.Field{{Name: prefixEnd + text(m[:9]), Value: string(b)}}, oldest(s, prefixEnd, maxEndings-1)
}

func (s *session) endings() []ending {
	var es []ending
	for f := range s.record.Prefix(prefixEnd) {
		r := packed.Read(f.Value)
		e := ending{ID: f.Name[len(prefixEnd):], At: r.Time(), Provider: r.String(), Result: r.String()}
		if r.Err() == nil {
			es = append(es, e)
		}
	}
	return es
}

// oldest returns the names of the fields with that prefix that go so that keep are left. Their
// values begin with a time.
func oldest(s *session, prefix string, keep int) []string {
	if s.born == 0 {
		return nil
	}
	type aged struct {
		name string
		at   time.Time
	}
	var all []aged
	for f := range s.record.Prefix(prefix) {
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
