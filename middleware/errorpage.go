package middleware

import (
	"bytes"
	"crypto/sha256"

	"github.com/returnleg/returnleg/internal/web"

	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
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
	web.PageHeader(h)
	h.Set("Content-Security-Policy", pagePolicy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
