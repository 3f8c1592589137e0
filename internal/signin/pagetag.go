package signin

import (
	"net/http"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/session"
)

// nobody is the tag of a page that was made for nobody, in a browser that had no cookie of ours.
const nobody = "nobody"

// PageTag returns the text that stands for the session s and its user in a page that is made for r. It gives no access.
func (a *SignIns) PageTag(s *session.View, r *http.Request) string {
	if !s.SignedIn() && !s.Anonymous() {
		if j := a.Bindings(r); len(j.kept) > 0 {
			return bindingTag(&a.env.Ring[0], &j.kept[0].binding)
		}
	}
	return sessionTag(&a.env.Ring[0], s)
}

// FitsPageTag reports whether a page with that tag was made for the user of s, or for nobody in this browser.
func (a *SignIns) FitsPageTag(s *session.View, r *http.Request, tag string) bool {
	if tag == nobody {
		return true
	}
	for i := range a.env.Ring {
		k := &a.env.Ring[i]
		if keys.Same(tag, sessionTag(k, s)) || s.SignedIn() && keys.Same(tag, tagOf(k, s.ID, "")) {
			return true
		}
	}
	for _, b := range a.Bindings(r).kept {
		for i := range a.env.Ring {
			if keys.Same(tag, bindingTag(&a.env.Ring[i], &b.binding)) {
				return true
			}
		}
	}
	return false
}

// bindingTag returns the tag of a page that was made for nobody, in a browser without a session that showed b.
func bindingTag(k *keys.Secrets, b *binding) string {
	m := k.Page.Derive("binding", "", b.pack())
	return keys.Text(m[:16])
}

// sessionTag returns the tag of a page that was made for the session s.
func sessionTag(k *keys.Secrets, s *session.View) string {
	if !s.SignedIn() && !s.Anonymous() {
		return nobody
	}
	user := ""
	if s.SignedIn() {
		user = s.Meta.User
	}
	return tagOf(k, s.ID, user)
}

// tagOf returns the tag of a page that was made for the user in the session with that id.
func tagOf(k *keys.Secrets, session, user string) string {
	m := k.Page.Derive(session, user)
	return keys.Text(m[:16])
}
