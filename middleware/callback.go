package middleware

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
)

const (
	maxAnswer = 16 << 10 // bytes of query
)

// callback answers the redirect URI. A page of ours does not stay at an address with a code in it.
func (q *request) callback(w http.ResponseWriter, name string) *Problem {
	p := q.comeBack(w, name)
	if p != nil {
		if p.told = p.Reason == q.told; p.told {
			p.found = q.found
		}
		q.moveOn(w.Header(), name, p)
	}
	return p
}

// comeBack answers a callback, or returns why not. Until the redemption is recorded it changes nothing, anywhere:
// what is refused can be sent again by whoever it belongs to.
func (q *request) comeBack(w http.ResponseWriter, name string) *Problem {
	a := q.auth
	r := q.r
	poster, posts := a.connections.Providers[name].(providers.FormPoster)
	posts = posts && poster.FormPost()
	if r.Method == http.MethodPost && posts {
		return q.relay(w, name)
	}
	if p := methods(w, r, http.MethodGet); p != nil {
		return p
	}
	if web.Prefetch(r) {
		return problem(reason.Navigation, nil)
	}
	j := a.signins.Bindings(r)
	if a.app.CallbackKeptBack(r, q.Now.Load().ID != "", len(j.Cookies) > 0) && q.again(w, "") {
		return nil
	}
	answer, p := q.answer(name)
	if p != nil {
		return q.astray(w, p, name, "")
	}
	f, ok := a.signins.OpenFlow(answer.Get("state"), j)
	if !ok {
		landing := ""
		if f != nil && f.Provider == name { // it started when what it started with was worth nothing any more
			landing = a.signins.Landing(q, f)
		}
		return q.astray(w, problem(reason.State, nil), name, landing)
	}
	if f.Provider != name {
		return problem(reason.ProviderPath, nil)
	}
	red, pending, err := q.redeemInTime(f, answer)
	if pending {
		return underWay(f)
	}
	if red == nil {
		red, err = a.signins.Known(q, f, err)
	}
	if err == nil {
		return q.land(w, f, red)
	}
	p = a.failure(&q.Request, f, err)
	if p.Reason == reason.Expired {
		return q.astray(w, p, name, a.signins.Landing(q, f))
	}
	if red != nil {
		p.RetryAfter = 0                                      // the code is spent: to wait and load the page again would not help
		p.LoginURL = cmp.Or(red.Failure.LoginURL, p.LoginURL) // as somebody is told who loads it again
	}
	p.Provider = name
	return q.turned(p, f)
}

// answer returns the provider's answer: from the query, or from the form that was posted a moment ago.
func (q *request) answer(name string) (url.Values, *Problem) {
	r := q.r
	if len(r.URL.RawQuery) > maxAnswer {
		return nil, problem(reason.Parameter, errors.New("middleware: callback: query too long"))
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(reason.Parameter, errors.New("middleware: callback: malformed query"))
	}
	if sealed, ok := v[signin.AnswerParam]; ok {
		if len(sealed) != 1 || len(v) != 1 {
			return nil, problem(reason.Parameter, nil)
		}
		return q.openAnswer(sealed[0], name)
	}
	if len(v["state"]) > 1 {
		// "Request and response parameters MUST NOT be included more than once." RFC 6749, section 3.1.
		return nil, problem(reason.Parameter, errors.New("middleware: callback: state twice"))
	}
	return v, nil
}

// astray answers a callback that cannot be tied to a sign-in of this browser that is under way. For
// somebody who is signed in it is an old page of the history: they go on. Nothing of it is used.
func (q *request) astray(w http.ResponseWriter, p *Problem, name, landing string) *Problem {
	a := q.auth
	p.Provider = name
	if q.Now.Load().SignedIn() {
		if landing == "" {
			landing = a.app.Home
		}
		a.env.Log.Visitor(q, slog.LevelInfo, "callback ignored", string(p.Reason), slog.String("provider", name))
		web.Redirect(w, landing)
		return nil
	}
	if landing == "" {
		landing = a.app.Home
	}
	return a.retryable(p, name, landing)
}

// turned adds to p the ways on for a person whose sign-in f failed.
func (q *request) turned(p *Problem, f *signin.Flow) *Problem {
	a := q.auth
	landing := a.signins.Landing(q, f)
	if p.LoginURL == "" && p.Status != http.StatusConflict {
		p = a.anew(p, &signin.Departure{Provider: f.Provider, Label: f.Label, Purpose: f.Purpose, Need: f.Need, Page: f.Page, ReturnTo: landing})
	}
	p.BackURL = landing
	return p
}

// land sends the person where a redemption says, once it has ended. A person who loads the page while
// another request is at it, or was killed in the middle, does not look at an empty tab until that is
// known: what they get asks again.
func (q *request) land(w http.ResponseWriter, f *signin.Flow, red *signin.Redemption) *Problem {
	a := q.auth
	switch {
	case red.Phase == signin.Redeeming:
		long := signin.RedeemTime
		if web.PageLoad(q.r) {
			long = signin.Blank
		}
		ended, err := a.signins.Await(q, f, red, long)
		if err != nil {
			return problem(reason.Store, err)
		}
		if ended.Phase == signin.Redeeming {
			return underWay(f)
		}
		return q.land(w, f, ended)
	case red.Phase == signin.Failed && q.Now.Load().Fingerprint() != q.whose:
		web.Redirect(w, a.signins.Landing(q, f)) // signed in by other means since: an old page of the history
		return nil
	case red.Phase == signin.Failed && red.Seen && q.repeats():
		web.Redirect(w, a.signins.Landing(q, f))
		return nil
	case red.Phase == signin.Failed:
		if q.repeats() {
			a.signins.NoteSeen(q, f, red)
		}
		p := problemTold(red.Failure)
		p.Provider = f.Provider
		return q.turned(p, f)
	}
	out := q.settled
	if out == nil {
		var err error
		if out, err = a.signins.Reissue(q, &q.Request, q, red); err != nil {
			return problem(reason.Store, err)
		}
	}
	a.signins.Rebind(w.Header(), q.r, out, red)
	web.Redirect(w, red.Landing)
	return nil
}
