package middleware

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// A provider may have the browser post its answer. To the browser that is another site's request,
// so the Lax cookies stay behind, and with them the proof that this browser started the sign-in.
// The parameters go, sealed, into the query of a redirect to ourselves: the GET that follows is a
// navigation, and has the cookies. Nothing is stored, and nothing is judged before it.

const maxForm = 64 << 10

// relay answers a callback by POST.
func (q *request) relay(w http.ResponseWriter, name string) *Problem {
	a := q.auth
	r := q.r
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return problem(reason.Parameter, errors.New("middleware: callback: not a form"))
	}
	body, err := web.ReadBody(w, r, maxForm)
	if p := problemOf(err); p != nil && p.Reason == reason.TooSlow {
		return p
	}
	if err != nil {
		return problem(reason.Parameter, errors.New("middleware: callback: form too long or cut off"))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.URL.RawQuery != "" {
		return problem(reason.Parameter, errors.New("middleware: callback: malformed form, or a query beside it"))
	}
	sealed, err := a.signins.RelayPosted(name, form)
	if err != nil {
		return problemOf(err)
	}
	web.Redirect(w, a.app.Prefix+"/"+name+"/callback?"+signin.AnswerParam+"="+sealed)
	return nil
}

// credentials are the parameters of an answer that no page stays at the address of. An answer without them, such
// as a no, stays where it is for somebody who is signed in: loaded again, it leads on to where they were.
var credentials = []string{"code", "access_token", "id_token", "response"}

// moveOn makes the page that refuses a callback load itself again, at an address that has the answer
// sealed: no code stays in the address bar or the history. That load is judged by what it finds then,
// and so a reload does what one of the callback would. While developing, the causes come along: those of a
// redemption that has failed are kept nowhere else. So does who was signed in: a page of the history is one that
// somebody loads who has signed in since.
//
// A page that asks again until the sign-in has ended needs all of that, and an address that is good for as long. One
// whose answer does not fit stays where it is: without it, the person would never come to what they asked for.
func (q *request) moveOn(h http.Header, name string, p *Problem) {
	a := q.auth
	v, err := url.ParseQuery(q.r.URL.RawQuery)
	pending := p.Reason == reason.Pending
	if pending && q.posted != nil {
		v = q.posted
	}
	if q.r.Method != http.MethodGet || !web.PageLoad(q.r) || q.r.URL.RawQuery == "" || v.Has(signin.AnswerParam) && len(v) == 1 {
		return
	}
	if err == nil && !pending && q.Now.Load().SignedIn() && !slices.ContainsFunc(credentials, v.Has) {
		return
	}
	to := a.app.Prefix + "/" + name + "/callback"
	sealed, fits := a.signins.RelayPage(signin.Relayed{
		Provider: name, Reason: string(p.Reason), Whose: q.Now.Load().Fingerprint(), Causes: a.causes(p), Answer: v,
	})
	switch {
	case err == nil && fits:
		to += "?" + signin.AnswerParam + "=" + sealed
	case pending:
		return
	}
	// A refresh at once takes the place of the page in the history.
	// https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps
	h.Set("Refresh", "0;url="+to)
}

// openAnswer returns what was sealed for the callback of that provider.
func (q *request) openAnswer(sealed, name string) (url.Values, *Problem) {
	was, err := q.auth.signins.OpenRelayed(sealed, name)
	if was != nil {
		q.told, q.whose, q.found = Reason(was.Reason), was.Whose, was.Causes
	}
	if err != nil {
		return nil, problemOf(err)
	}
	if was.Posted {
		q.posted = was.Answer
	}
	return was.Answer, nil
}

// repeats reports that the page about a failed sign-in loads itself at the address of [request.moveOn], for somebody
// who is signed in. They see it once: loaded again, by Back say, it leads on to where they were.
func (q *request) repeats() bool {
	return q.told != "" && q.Now.Load().SignedIn() && web.PageLoad(q.r)
}
