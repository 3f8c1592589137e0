package middleware

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
)

// A browser whose session cookie was replaced may never get the answer with the new one. The cookie that it
// goes on to show opens nothing, and what such a request changes cannot be kept. A page load gives the
// browser a fresh session, but not the first one: the answer with the new cookie may be on its way still,
// and a cookie that came after it would undo it. The answer that tells the browser of it, a page that says "not saved"
// or one that loads itself again, leaves a mark. A page load that shows the mark, and the same cookie still,
// is of a browser that really has it.

// markReplaced leaves the mark in a browser that shows a replaced cookie.
func (q *request) markReplaced(h http.Header) {
	if s := q.Now.Load(); s.Replaced() {
		q.auth.app.Cookies.Set(h, q.auth.app.Cookies.ReplacedMark(s.ID, s.Secret))
	}
}

// loadsPage reports that q loads a page in a tab, which somebody sees.
func (q *request) loadsPage() bool {
	return q.r.Method == http.MethodGet && web.PageLoad(q.r) && !web.Prefetch(q.r)
}

// refresh gives a fresh session to a browser that shows a replaced cookie, and the mark. Nothing is stored
// for it.
func (q *request) refresh(h http.Header) {
	a, s := q.auth, &q.First
	if !s.Replaced() || !q.loadsPage() {
		return
	}
	mark := a.app.Cookies.ReplacedMark(s.ID, s.Secret)
	if !web.Shows(q.r, mark.Name, mark.Value) {
		return
	}
	id, err := a.env.RandomText(16)
	if err != nil {
		return // as before; the next page load tries again
	}
	q.First = session.View{ID: id, Secret: a.env.Ring[0].First(id), Standing: session.Unstored}
	q.Varied.Store(true)
	a.app.Cookies.Clear(h, mark.Name, mark.SameSite)
	a.app.Cookies.SetSession(h, id, q.First.Secret, a.env.Clock().Add(a.sessions.Manager.Lifetime), a.app.Cookies.Persist)
	a.env.Log.Visitor(q, slog.LevelInfo, "replaced cookie exchanged for a fresh session", "")
}

// reloadPage has a page that was made for a visitor, because its browser shows a replaced cookie, load itself again
// by way of [request.fresh]: whoever fills it in shall not lose that. One that did not look at the session stays as
// it is. A browser that keeps no cookies does not do it all the time.
func (q *request) reloadPage(h http.Header, status int) {
	s, a := q.Now.Load(), q.auth
	if status != http.StatusOK || !s.Replaced() || !q.Varied.Load() || !q.loadsPage() || !isPage(h) {
		return
	}
	path, ok := returnpath.Clean(a.app.URL, a.app.Prefix, q.r.URL.RequestURI())
	if !ok || !a.sessions.Touches.Take(session.TouchNote{Born: s.Born, Meta: s.MetaVersion, Expires: -1}, a.env.Clock()) {
		return
	}
	h.Set("Refresh", "0;url="+a.freshURL(path, false))
	web.Uncached(h)
}

// isPage reports that h is, as far as it says, of a page that stays as it is.
func isPage(h http.Header) bool {
	kind := h.Get("Content-Type")
	return (kind == "" || strings.HasPrefix(kind, "text/html")) && len(h["Refresh"])+len(h["Content-Disposition"]) == 0
}

func (a *Auth) freshURL(back string, again bool) string {
	v := url.Values{returnParam: {back}}
	if again {
		v.Set(againParam, "1")
	}
	return a.app.Prefix + freshPath + "?" + v.Encode()
}

// fresh answers {Prefix}/fresh: a browser that shows a replaced cookie loads it twice, gets a fresh session by
// that, and goes on to the page that return_to names; any other browser goes on at once.
func (q *request) fresh(w http.ResponseWriter) *Problem {
	a := q.auth
	if p := methods(w, q.r, http.MethodGet); p != nil {
		return p
	}
	if !q.loadsPage() {
		return problem(reason.Navigation, nil)
	}
	query := q.r.URL.Query()
	back, ok := returnpath.Clean(a.app.URL, a.app.Prefix, query.Get(returnParam))
	if !ok {
		back = a.app.Home
	}
	if !q.Now.Load().Replaced() || query.Has(againParam) { // a browser that does not keep the mark stays as it is
		web.Redirect(w, back)
		return nil
	}
	q.markReplaced(w.Header())
	web.LoadAgain(w, a.freshURL(back, true))
	return nil
}

// notSaved returns the problem of a change that is not kept: nothing is said of what the handler did besides.
func (q *request) notSaved(err error) *Problem {
	if errors.Is(err, session.ErrWithheld) {
		return problem(reason.Handler, err) // a mistake in the app
	}
	p := problem(reason.NotSaved, err)
	p.BackURL = q.form()
	return p
}

// form returns the page of ours that the request was sent from, as far as it says.
func (q *request) form() string {
	a := q.auth
	for _, from := range []string{q.r.Referer(), q.r.URL.RequestURI()} {
		if path, ok := returnpath.Clean(a.app.URL, a.app.Prefix, from); ok {
			return path
		}
	}
	return a.app.Home
}
