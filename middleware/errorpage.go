package middleware

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

var (
	//go:embed page.css
	pageCSS string

	//go:embed page.html
	pageHTML string

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))

	// The page's only resource is its own style, allowed by its hash. The policy lists no form-action:
	// it would stop the redirect to the provider that answers a form.
	pagePolicy = "default-src 'none'; style-src 'sha256-" + hashCSS() + "'; base-uri 'none'; frame-ancestors 'none'"
)

func hashCSS() string {
	h := sha256.Sum256([]byte(pageCSS))
	return base64.StdEncoding.EncodeToString(h[:])
}

// problemPage is what a page of ours shows.
type problemPage struct {
	*Problem
	Home    string
	Tag     string   // the page tag of a form that connects a provider
	Reload  bool     // the same address may answer in a moment
	SignOut string   // the address of a form that signs out
	Choices []choice // ways to sign in
}

// choice is one provider of several.
type choice struct{ Name, URL string }

// Label names the provider for people.
func (p problemPage) Label() string {
	if p.Provider == "" {
		return ""
	}
	return label(p.Provider)
}

// CSS is our own text.
func (problemPage) CSS() template.CSS { return template.CSS(pageCSS) }

func (a *Auth) writePage(w http.ResponseWriter, status int, page problemPage) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, page); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Security-Policy", pagePolicy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// hints returns the usual causes of a problem, while developing.
func (a *Auth) hints(reason Reason, r *http.Request) []string {
	if !loopback(a.base.Hostname()) {
		return nil
	}
	var hints []string
	if !strings.EqualFold(r.Host, a.base.Host) {
		hints = append(hints, "You opened this at another host than BaseURL, "+a.base.Host+". Cookies belong to one host: localhost and 127.0.0.1 are two.")
	}
	if (r.TLS != nil) != (a.base.Scheme == "https") && r.Header.Get("X-Forwarded-Proto") != a.base.Scheme {
		hints = append(hints, "BaseURL says "+a.base.Scheme+", and this request came otherwise. Secure cookies need https all the way.")
	}
	switch reason {
	case ReasonState:
		if len(a.bindings(r).cookies) == 0 {
			hints = append(hints, "The browser sent no cookie "+a.cookies.binding+"…: it started at another host, blocks cookies, or has lost them.")
		} else {
			hints = append(hints, "A cookie came along, but does not open this state: the keys were made up anew when the server restarted, or another tab's address was pasted here.")
		}
	case ReasonSignedOut, ReasonLoop:
		if _, _, ok := a.cookies.presented(r); !ok {
			hints = append(hints, "The browser sent no cookie "+a.cookies.session+".")
		}
		if reason == ReasonLoop {
			hints = append(hints, "Another app at this host may use the cookie "+a.cookies.session+", too, and sign people out here. Give each a Prefix of its own, below its path, or a CookieName.")
		}
	case ReasonUnavailable:
		hints = append(hints, "The log has the provider's error: an address that does not answer, or a discovery document of another issuer.")
	case ReasonToken, ReasonProviderError:
		hints = append(hints, "The log has the check that failed. Often: the wrong client secret, or a redirect URI that is not registered as "+a.origin+a.prefix+"/{provider}/callback.")
	}
	return hints
}
