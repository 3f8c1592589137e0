// Package page writes the pages of the kit: the one about an error, the list of providers and the question before a
// sign-out. It knows their text and their look, and nothing of what led to them.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/web"
)

var (
	//go:embed page.css
	css string

	//go:embed page.html
	source string

	parsed = template.Must(template.New("page").Parse(source))

	// The page's only resource is its own style, allowed by its hash. The policy lists no form-action:
	// it would stop the redirect to the provider that answers a form.
	policy = "default-src 'none'; style-src 'sha256-" + hash(css) + "'; base-uri 'none'; frame-ancestors 'none'"
)

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// A Page is what one page shows. Empty fields are left out.
type Page struct {
	Status               int
	Title, Detail        string
	Reason, ProviderCode string
	Provider             string // the name of the one that the page is about
	LoginURL             string // where it leads
	LoginPost            bool   // by a form
	BackURL              string
	Home                 string
	Tag                  string   // the page tag of a form that connects a provider
	Reload               bool     // the same address may answer in a moment
	SignOut              string   // the address of a form that signs out
	Choices              []Choice // ways to sign in
	Hints                []string // for a developer
}

// A Choice is one provider of several.
type Choice struct{ Name, URL string }

// Label names the provider for people.
func (p *Page) Label() string {
	if p.Provider == "" {
		return ""
	}
	return Label(p.Provider)
}

// CSS returns the style of the page.
func (*Page) CSS() template.CSS { return template.CSS(css) }

// Write answers with the page.
func (p *Page) Write(w http.ResponseWriter) {
	var b bytes.Buffer
	if err := parsed.Execute(&b, p); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	web.PageHeader(h)
	h.Set("Content-Security-Policy", policy)
	w.WriteHeader(p.Status)
	_, _ = w.Write(b.Bytes())
}

// Label returns a provider's name for people: "acme-sso" is "Acme sso".
func Label(name string) string {
	known := []string{"github", "GitHub", "google", "Google", "vimeo", "Vimeo", "oidc", "OpenID Connect"}
	if i := slices.Index(known, name); i >= 0 && i%2 == 0 {
		return known[i+1]
	}
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "-", " ")
}
