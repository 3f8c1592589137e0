package middleware

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
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

// answerParams are those that a response may have. What else was posted is not ours.
// RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207; OpenID Connect Session Management 1.0.
var answerParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri", "session_state",
	// Not taken as credentials, but for Check to refuse.
	"access_token", "id_token", "token_type", "response",
}

// posted answers a callback by POST.
func (a *Auth) posted(w http.ResponseWriter, q *request, name string) *Problem {
	r := q.r
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return problem(ReasonParameter, errors.New("middleware: callback: not a form"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return problem(ReasonParameter, errors.New("middleware: callback: form too long or cut off"))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.URL.RawQuery != "" {
		return problem(ReasonParameter, errors.New("middleware: callback: malformed form, or a query beside it"))
	}
	b := packed.AppendTime([]byte("a"), a.now().Add(hopLife))
	b = packed.AppendString(b, name)
	for _, key := range answerParams {
		for _, v := range form[key] {
			b = packed.AppendString(packed.AppendString(b, key), v)
		}
	}
	if len(b) > maxPosted {
		return problem(ReasonParameter, errors.New("middleware: callback: form too long"))
	}
	sealed, err := a.sealHop(b)
	if err != nil {
		return problem(ReasonRandom, err)
	}
	redirect(w, a.prefix+"/"+name+"/callback?"+answerParam+"="+sealed)
	return nil
}

// openAnswer returns what posted has sealed.
func (a *Auth) openAnswer(s, name string) (url.Values, *Problem) {
	plain, ok := a.openHop(s)
	if !ok || plain == "" || plain[0] != 'a' {
		return nil, problem(ReasonState, nil)
	}
	r := packed.Read(plain[1:])
	until := r.Time()
	if r.String() != name {
		return nil, problem(ReasonProviderPath, nil)
	}
	if !a.now().Before(until) {
		return nil, problem(ReasonExpired, nil)
	}
	v := url.Values{}
	for r.More() {
		key := r.String()
		v[key] = append(v[key], r.String())
	}
	if r.Err() != nil {
		return nil, problem(ReasonState, nil)
	}
	if len(v["state"]) > 1 || slices.Contains(v["state"], "") {
		return nil, problem(ReasonParameter, errors.New("middleware: callback: state twice or empty"))
	}
	return v, nil
}
