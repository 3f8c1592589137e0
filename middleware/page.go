package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
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
	return q.SavePage(string(b))
}

// Returned fills v, a pointer, with what [SavePage] kept for the page that this request opens. It
// can be asked again, by a reload say, until [ClearPage]. For any other page it is [ErrNoPage].
func Returned(ctx context.Context, v any) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	p, ok := q.PageState(q.landed())
	if !ok {
		return ErrNoPage
	}
	if err := json.Unmarshal([]byte(p.JSON), v); err != nil {
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
	if !q.ClearPage(q.landed()) {
		return ErrNoPage
	}
	return nil
}

// landed returns the id of the page state that the request's URL names.
func (q *request) landed() string {
	query, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil || len(query[PageParam]) != 1 {
		return ""
	}
	return query[PageParam][0]
}
