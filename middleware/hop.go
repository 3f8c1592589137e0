package middleware

import (
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// A provider may have the browser post its answer. To the browser that is another site's request,
// so the Lax cookies stay behind, and with them the proof that this browser started the sign-in.
// The parameters go, sealed, into the query of a redirect to ourselves: the GET that follows is a
// navigation, and has the cookies. Nothing is stored, and nothing is judged before it.

const (
	answerParam = "answer"
	hopLife     = time.Minute
	maxForm     = 64 << 10
	maxPosted   = 4 << 10 // of what is taken on
)

// answerParams are those that a response may have. Other parameters that were posted are not ours.
// RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207; OpenID Connect Session Management 1.0.
var answerParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri", "session_state",
	// Not taken as credentials, but for Check to refuse.
	"access_token", "id_token", "token_type", "response",
}

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
	b := packed.AppendTime([]byte("a"), a.env.Clock().Add(hopLife))
	b = packed.AppendString(b, name)
	for _, key := range answerParams {
		for _, v := range form[key] {
			b = packed.AppendString(packed.AppendString(b, key), v)
		}
	}
	if len(b) > maxPosted {
		return problem(reason.Parameter, errors.New("middleware: callback: form too long"))
	}
	sealed, err := a.signins.SealRelay(b)
	if err != nil {
		return problem(reason.Random, err)
	}
	web.Redirect(w, a.app.Prefix+"/"+name+"/callback?"+answerParam+"="+sealed)
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
	if q.r.Method != http.MethodGet || !web.PageLoad(q.r) || q.r.URL.RawQuery == "" || v.Has(answerParam) && len(v) == 1 {
		return
	}
	if err == nil && !pending && q.Now.Load().SignedIn() && !slices.ContainsFunc(credentials, v.Has) {
		return
	}
	to := a.app.Prefix + "/" + name + "/callback"
	b := packed.AppendTime([]byte("r"), a.env.Clock().Add(signin.FlowLife+signin.RedemptionRest))
	b = packed.AppendString(packed.AppendString(b, name), string(p.Reason))
	b = packed.AppendString(b, q.Now.Load().Whose())
	var answer []byte
	for _, key := range slices.Sorted(maps.Keys(v)) {
		for _, value := range v[key] {
			answer = packed.AppendString(packed.AppendString(answer, key), value)
		}
	}
	causes := a.causes(p)
	for len(causes) > 0 && len(answer)+len(packed.AppendStrings(b, causes)) > maxPosted {
		causes = causes[:len(causes)-1]
	}
	b = append(packed.AppendStrings(b, causes), answer...)
	sealed, failed := a.signins.SealRelay(b)
	switch {
	case err == nil && failed == nil && len(b) <= maxPosted:
		to += "?" + answerParam + "=" + sealed
	case pending:
		return
	}
	// A refresh at once takes the place of the page in the history.
	// https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps
	h.Set("Refresh", "0;url="+to)
}

// openAnswer returns what posted or moveOn has sealed.
func (q *request) openAnswer(s, name string) (url.Values, *Problem) {
	a := q.auth
	plain, ok := a.signins.OpenRelay(s)
	if !ok || plain == "" || plain[0] != 'a' && plain[0] != 'r' {
		return nil, problem(reason.State, nil)
	}
	r := packed.Read(plain[1:])
	until := r.Time()
	if r.String() != name {
		return nil, problem(reason.ProviderPath, nil)
	}
	if plain[0] == 'r' {
		q.told, q.whose, q.found = Reason(r.String()), r.String(), r.Strings()
	}
	if !a.env.Clock().Before(until) {
		return nil, problem(reason.Expired, nil)
	}
	v := url.Values{}
	for r.More() {
		key := r.String()
		v[key] = append(v[key], r.String())
	}
	if r.Err() != nil {
		return nil, problem(reason.State, nil)
	}
	if len(v["state"]) > 1 || plain[0] == 'a' && slices.Contains(v["state"], "") {
		return nil, problem(reason.Parameter, errors.New("middleware: callback: state twice or empty"))
	}
	if plain[0] == 'a' {
		q.posted = v
	}
	return v, nil
}

// repeats reports that the page about a failed sign-in loads itself at the address of [Auth.moveOn], for somebody
// who is signed in. They see it once: loaded again, by Back say, it leads on to where they were.
func (q *request) repeats() bool {
	return q.told != "" && q.Now.Load().SignedIn() && web.PageLoad(q.r)
}
