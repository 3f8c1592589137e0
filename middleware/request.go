package middleware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/internal/eventlog"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// request is one request on its way through [Auth.Handler]. It is the request's context, so that
// what handlers ask of the context costs no further layer; and it holds the response writer.
type request struct {
	context.Context
	auth   *Auth
	r      *http.Request // with this context
	writer web.Writer

	session.Request // of the session room

	stopped  atomic.Bool     // by a gate
	posted   url.Values      // the provider's answer, if it came by a form
	told     Reason          // of the page that has loaded itself again as this one
	whose    string          // who was signed in there, see [session.View.Fingerprint]
	found    []string        // its causes, see [Auth.causes]
	reloaded bool            // the page has loaded itself again: see [request.again]
	settled  *signin.Outcome // of the sign-in that this request finished
}

type requestKey struct{}

// Value answers for the request itself and for the data of the scs manager, which it decodes when
// it is asked for: a handler that does not use the session pays nothing for it.
func (q *request) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return q
	case session.RequestKey, eventlog.VisitorKey:
		return &q.Request
	}
	if key == q.auth.sessions.ManagerKey {
		return q.ManagerValue()
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

// keptBack reports that the browser may have a session cookie that it has not sent with q.
func (q *request) keptBack() bool { return q.auth.app.KeptBack(q.r, q.Now.Load().ID != "") }

// again answers with a page that loads the same address once more, or to, unless q is that load already.
func (q *request) again(w http.ResponseWriter, to string) bool {
	return q.auth.app.Reload(w, q.r, to, q.reloaded)
}

// Begin saves the session before an answer with that status, and makes its header complete.
func (q *request) Begin(status int) error {
	err := q.Commit(web.Safe(q.r.Method), status)
	h := q.writer.ResponseWriter.Header()
	// A call of Save in another goroutine, as under an http.TimeoutHandler, sets a cookie before
	// this or not at all: two writers of one header end the process.
	q.Locked(func() { q.complete(h, status, err) })
	return err
}

// complete makes the header of an answer complete, which is about to leave.
func (q *request) complete(h http.Header, status int, err error) {
	a := q.auth
	a.dropForeign(h)
	if q.TookOver {
		clearFormer(a.sessions.Former, &a.app.Cookies, h)
	}
	if err == nil && q.letThrough() {
		a.signins.NotePassed(h, q.r)
	}
	if a.app.Cookies.Sets(h) {
		web.Uncached(h)
	}
	if q.Varied.Load() {
		web.Vary(h)
	}
	if err == nil {
		q.reloadPage(h, status)
	}
	q.writer.Start()
}

// Replace writes that the session could not be saved, in place of the handler's answer.
func (q *request) Replace(err error) {
	p := problem(session.ReasonOf(err), err)
	if errors.Is(err, ErrNotSaved) {
		p = q.notSaved(err)
	}
	q.auth.refuse(q.writer.ResponseWriter, q.r, p)
}

// clearFormer makes the browser forget the cookie of a session of before.
func clearFormer(f *session.Former, c *web.Cookies, h http.Header) {
	c.Set(h, &http.Cookie{
		Name: f.CookieName(), Path: f.Cookie.Path, Domain: f.Cookie.Domain, MaxAge: -1,
		HttpOnly: true, Secure: c.Secure || f.Cookie.Secure, SameSite: f.Cookie.SameSite, Partitioned: f.Cookie.Partitioned,
	})
}

// Late tells the log what a handler changed after its answer had begun and did not save.
func (q *request) Late() { q.Request.LogLate(q.r.URL.Path) }

// Open reports that the header can still be changed.
func (q *request) Open() bool { return q.writer.Open() != nil }

// Set gives the browser the cookie of a session.
func (q *request) Set(id, secret string, expires time.Time, persist, rotated bool) {
	h, cookies := q.writer.Open(), &q.auth.app.Cookies
	cookies.SetSession(h, id, secret, expires, cookies.Persist || persist)
	if rotated {
		q.retireBindings(h)
	}
}

// Clear takes the cookie of the session away.
func (q *request) Clear() {
	h, cookies := q.writer.Open(), &q.auth.app.Cookies
	cookies.Clear(h, cookies.Session, cookies.SameSite)
	q.retireBindings(h)
}

// ClearFormer takes the cookie of a session of before away.
func (q *request) ClearFormer() {
	clearFormer(q.auth.sessions.Former, &q.auth.app.Cookies, q.writer.Open())
}

// letThrough reports that this request is served to somebody who is signed in, and that no gate has
// stopped it.
func (q *request) letThrough() bool {
	return !q.stopped.Load() && !q.SignsOut && q.Now.Load().SignedIn()
}

// retireBindings adds to h that what was known of the browser's bindings is worth nothing from now on.
func (q *request) retireBindings(h http.Header) {
	path := ""
	if q.letThrough() {
		path = q.r.URL.Path
	}
	q.auth.signins.RetireShown(h, q.r, path)
}
