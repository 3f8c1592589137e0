package middleware

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// A browser whose session cookie was replaced may never get the answer with the new one. The cookie that it
// goes on to show opens nothing, and what such a request changes cannot be kept. A page load gives the
// browser a fresh session, but not the first one: the answer with the new cookie may be on its way still,
// and a cookie that came after it would undo it. The answer that tells the browser of it, a page that says "not saved"
// or one that loads itself again, leaves a mark. A page load that shows the mark, and the same cookie still,
// is of a browser that really has it.

const (
	markLife   = 10 * time.Minute
	freshPath  = "/fresh" // below the prefix: loads itself again once, and goes on to a page
	againParam = "again"
)

// Why a change is not saved.
var (
	errReplaced = fmt.Errorf("%w: the cookie has been replaced", ErrNotSaved)
	errGone     = fmt.Errorf("%w: the session has ended", ErrNotSaved)
	errWithheld = fmt.Errorf("%w: the path is free of sessions", ErrNotSaved)
	errNoCookie = fmt.Errorf("%w: a new session needs a cookie, and the header has left", ErrNotSaved)
)

// unsaved returns the reason of an error that wraps ErrNotSaved.
func unsaved(err error) Reason {
	if errors.Is(err, errGone) {
		return ReasonSessionGone
	}
	return ReasonNotSaved
}

// replaced reports that the cookie of the request is not the session's any more, and was not when it came.
func (s *session) replaced() bool {
	return (s.standing == before || s.standing == stale) && !s.entitled
}

// writable reports whether the request may change the record.
func (s *session) writable() bool { return s.opens() || s.entitled }

// unsavable returns why the request cannot keep anything; nil if it may be able to.
func (s *session) unsavable() error {
	switch {
	case s.standing == withheld:
		return errWithheld
	case s.replaced():
		return errReplaced
	}
	return nil
}

// mark is the cookie by which a page load is known not to be the first that shows the cookie of s.
func (c *cookies) mark(s *session) *http.Cookie {
	h := sha256.Sum256([]byte(s.id + "." + s.secret))
	return &http.Cookie{
		Name: c.session + "-replaced", Value: text(h[:16]), Path: "/", MaxAge: int(markLife.Seconds()),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	}
}

// markReplaced leaves the mark in a browser that shows a replaced cookie.
func (q *request) markReplaced(h http.Header) {
	if s := q.session.Load(); s.replaced() {
		q.auth.cookies.set(h, q.auth.cookies.mark(s))
	}
}

// loadsPage reports that q loads a page in a tab, which somebody sees.
func (q *request) loadsPage() bool {
	return q.r.Method == http.MethodGet && pageLoad(q.r) && !prefetch(q.r)
}

// refresh gives a fresh session to a browser that shows a replaced cookie, and the mark. Nothing is stored
// for it.
func (q *request) refresh(h http.Header) {
	a, s := q.auth, &q.first
	if !s.replaced() || !q.loadsPage() {
		return
	}
	mark := a.cookies.mark(s)
	if !shows(q.r, mark.Name, mark.Value) {
		return
	}
	id, err := a.randomText(16)
	if err != nil {
		return // as before; the next page load tries again
	}
	q.first = session{id: id, secret: a.secrets[0].first(id), standing: unborn}
	q.writer.varied.Store(true)
	a.cookies.clear(h, mark.Name, mark.SameSite)
	a.cookies.setSession(h, id, q.first.secret, a.now().Add(a.sessions.Lifetime), a.cookies.persist)
	a.visitorEvent(q, slog.LevelInfo, "replaced cookie exchanged for a fresh session", "")
}

// reloadPage has a page that was made for a visitor, because its browser shows a replaced cookie, load itself again
// by way of [Auth.fresh]: whoever fills it in shall not lose that. One that did not look at the session stays as
// it is. A browser that keeps no cookies does not do it all the time.
func (q *request) reloadPage(h http.Header, status int) {
	s, a := q.session.Load(), q.auth
	if status != http.StatusOK || !s.replaced() || !q.writer.varied.Load() || !q.loadsPage() || !page(h) {
		return
	}
	path, ok := returnpath.Clean(a.base, a.prefix, q.r.URL.RequestURI())
	if !ok || !a.chores.take(chore{born: s.born, meta: s.metaVersion, expires: -1}, a.now()) {
		return
	}
	h.Set("Refresh", "0;url="+a.freshURL(path, false))
	uncached(h)
}

// page reports that h is, as far as it says, of a page that stays as it is.
func page(h http.Header) bool {
	kind := h.Get("Content-Type")
	return (kind == "" || strings.HasPrefix(kind, "text/html")) && len(h["Refresh"])+len(h["Content-Disposition"]) == 0
}

func (a *Auth) freshURL(back string, again bool) string {
	v := url.Values{returnParam: {back}}
	if again {
		v.Set(againParam, "1")
	}
	return a.prefix + freshPath + "?" + v.Encode()
}

// fresh answers {Prefix}/fresh: a browser that shows a replaced cookie loads it twice, gets a fresh session by
// that, and goes on to the page that return_to names; any other browser goes on at once.
func (a *Auth) fresh(w http.ResponseWriter, q *request) *Problem {
	if p := methods(w, q.r, http.MethodGet); p != nil {
		return p
	}
	if !q.loadsPage() {
		return problem(ReasonNavigation, nil)
	}
	query := q.r.URL.Query()
	back, ok := returnpath.Clean(a.base, a.prefix, query.Get(returnParam))
	if !ok {
		back = a.home
	}
	if !q.session.Load().replaced() || query.Has(againParam) { // a browser that does not keep the mark stays as it is
		redirect(w, back)
		return nil
	}
	q.markReplaced(w.Header())
	loadAgain(w, a.freshURL(back, true))
	return nil
}

// notSaved returns the problem of a change that is not kept: nothing is said of what the handler did besides.
func (q *request) notSaved(err error) *Problem {
	if errors.Is(err, errWithheld) {
		return problem(ReasonHandler, err) // a mistake in the app
	}
	p := problem(ReasonNotSaved, err)
	p.BackURL = q.form()
	return p
}

// form returns the page of ours that the request was sent from, as far as it says.
func (q *request) form() string {
	a := q.auth
	for _, from := range []string{q.r.Referer(), q.r.URL.RequestURI()} {
		if path, ok := returnpath.Clean(a.base, a.prefix, from); ok {
			return path
		}
	}
	return a.home
}

// safe reports that a request by that method asks for nothing to be changed.
// RFC 9110, section 9.2.1.
func safe(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, method)
}
