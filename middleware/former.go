package middleware

import (
	"net/url"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/check"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
)

// A Former is where an app's sessions were before: with an scs manager and its LoadAndSave. Each of
// them is taken over by the first request that shows its cookie: a session of this kit gets its
// values, its deadline and its RememberMe, the old one is deleted, and that answer brings the new
// cookie and removes the old one. Requests that come at the same time, at any replica, get the same
// session. It is anonymous: the person signs in once more, and while they do, [Config].OnLogin
// finds the values of before, such as the app's user id, and [Login].Former set. Those values are what some
// cookie brought, and no proof of who it is: see there before an account is linked by them.
//
// Only a request that shows the old cookie, and none of ours that opens a session, reads the old
// store. If that fails the answer is 503, and everything is as it was. A request with a session that cannot be
// decoded, because a type in it is not registered with encoding/gob say, is served as a visitor, and the log
// says why with [ReasonValue]; so it is with a value that cannot be stored here. That session and its cookie stay
// where they are, for a build that can read it: it is taken over by the first request to that one which shows no
// session of ours. To give such sessions up, hand in a Codec that returns no error for them.
//
// A sign-out ends what is left of before as well: the old session that the browser shows is deleted, and so is
// its cookie.
//
// Replicas that still run the app as it was do not see sessions that were taken over, and may write
// to one that is being so: stop them before the first new one starts, or some of these changes are lost.
// The session takes its place among those of [sessionstore.Member], and none of [Config].MaxGuests.
type Former struct {
	Store scs.Store // as the manager had it. A CtxStore is called by its methods with a context
	Codec scs.Codec // as the manager had it; nil: scs.GobCodec

	// Cookie is the manager's. An empty Name is "session", scs's default; Domain and Path are those
	// under which the browser is told to forget it.
	Cookie scs.SessionCookie

	HashTokenInStore bool // as the manager had it
}

// check returns what is wrong with f, which may be nil.
func (f *Former) check(base *url.URL, prefix, name string) error {
	if f == nil {
		return nil
	}
	ours := ""
	if base != nil {
		ours = web.NewCookies(base, prefix, name, f.Cookie.SameSite, false).Session
	}
	return check.Former(f.Store, (*session.Former)(f).CookieName(), ours)
}
