package middleware

import (
	"context"
	"errors"
	"net/http"

	"github.com/returnleg/returnleg/internal/reason"
)

// Where a request carries its page tag.
const (
	pageTagHeader = "Page-Tag"
	pageTagField  = "page_tag"
)

const (
	maxTagged   = 10 << 20 // bytes of a form that is read for its tag
	maxInMemory = 32 << 20 // of its parts, as in net/http: the rest goes to disk
)

// PageTag returns a value that stands for the session and whoever is signed in. A page that puts it
// into its forms, as a field "page_tag", or into its fetches, as a header "Page-Tag", is not acted
// on as somebody else who has signed in meanwhile: see [Auth.CheckPageTag]. The addresses that connect
// and disconnect a provider check it, too, where a form has it. It is no secret, and gives no access. A
// context that did not pass [Auth.Handler] has the empty tag, which is never right.
//
// A page that was made before the browser had any cookie of ours has a tag that is the same for
// everybody, and says nothing about the browser. The tag is no protection against other sites' requests.
func PageTag(ctx context.Context) string {
	q, err := from(ctx)
	if err != nil {
		return ""
	}
	return q.pageTag()
}

func (q *request) pageTag() string { return q.auth.signins.PageTag(q.View(), q.r) }

// CheckPageTag answers 409 to a request that would change something, by any method but GET, HEAD,
// OPTIONS and TRACE, when the page that it comes from was made for somebody else: its tag is
// missing, or is not [PageTag]. A page that was made for nobody is good for whoever signed in
// to its session since, because that is the page which the person left to sign in.
//
// It reads the form of the request where the header is missing, of at most 10 MB, and answers a longer
// one with 413: where less is right, limit the body outside of it. And it does not tell whose page sent
// the request: against other sites, use [http.CrossOriginProtection] as well, inside of [Auth.Handler], as in
// auth.Handler(protection.Handler(mux)): around it, it refuses the answer that some providers have the browser
// post. The form may take as long as the app's server lets it, see ReadTimeout of [http.Server].
func (a *Auth) CheckPageTag(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
			next.ServeHTTP(w, r)
			return
		}
		q, err := from(r.Context())
		if err != nil || q.auth != a {
			a.refuse(w, r, problem(reason.PageTag, ErrNoMiddleware))
			return
		}
		tag := r.Header.Get(pageTagHeader)
		if tag == "" {
			r.Body = http.MaxBytesReader(w, r.Body, maxTagged) // parts of a form would go to disk without end
			if err := parseForm(r); err != nil {
				a.refuse(w, r, problem(reason.TooLarge, err))
				return
			}
			tag = r.PostForm.Get(pageTagField)
		}
		if !a.signins.FitsPageTag(q.View(), q.r, tag) {
			a.refuse(w, r, problem(reason.PageTag, nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// parseForm reads the form of r. Its error is an [*http.MaxBytesError]: any other form that cannot be
// read has no tag, which says enough.
func parseForm(r *http.Request) error {
	// ParseMultipartForm keeps the error of ParseForm to itself where the form is of the other kind.
	err := r.ParseForm()
	if err == nil {
		err = r.ParseMultipartForm(maxInMemory)
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return tooLarge
	}
	return nil
}

// outdated refuses a form of one of the kit's own addresses whose tag is another person's. There it may
// have none: an app need not use them.
func (q *request) outdated() *Problem {
	a := q.auth
	tag := q.r.Header.Get(pageTagHeader)
	if tag == "" {
		tag = q.r.PostForm.Get(pageTagField)
	}
	if tag == "" || a.signins.FitsPageTag(q.View(), q.r, tag) {
		return nil
	}
	p := problem(reason.PageTag, nil)
	p.BackURL = a.app.Home
	if back, ok := a.app.OwnPath(q.r.Form.Get(returnParam)); ok {
		p.BackURL = back
	}
	return p
}
