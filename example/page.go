package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/returnleg/returnleg/middleware"
)

//go:embed templates
var templates embed.FS

// A page is what the layout needs, with the data of one page in it.
type page struct {
	Title    string
	Notice   string
	Account  *middleware.Account // nil: nobody is signed in
	Tag      string              // for every form: whom the page was made for
	SignIn   string              // URL; "": not offered
	Services []service
	Step     []step
	Data     any
}

// A step is one of the stations on the way, as the progress bar shows it.
type step struct{ Name, Path, State string }

var stations = []step{{Name: "Terms", Path: "/terms"}, {Name: "Library", Path: "/library"}, {Name: "Videos", Path: "/videos"}, {Name: "Done", Path: "/done"}}

// steps returns the stations, seen from the one at path; nil if there is none.
func steps(path string) []step {
	state := "past"
	var all []step
	for _, s := range stations {
		s.State = state
		if s.Path == path {
			s.State, state = "now", "next"
		}
		all = append(all, s)
	}
	if state == "past" {
		return nil
	}
	return all
}

// Name is how to call the person: what the provider told, in the order of what people like to read.
func (p page) Name() string {
	if p.Account == nil {
		return ""
	}
	id := p.Account.Identity
	for _, s := range []string{id.Name, id.Username, id.Email} {
		if s != "" {
			return s
		}
	}
	return "friend"
}

// GivenName is the first word of Name. It is a guess, and good enough for a greeting.
func (p page) GivenName() string {
	first, _, _ := strings.Cut(p.Name(), " ")
	return first
}

// pages renders templates.
type pages map[string]*template.Template

func newPages(a *assets) (pages, error) {
	base, err := template.New("").Funcs(template.FuncMap{
		"asset": a.url,
		"count": func(n int, one, many string) string {
			if n == 1 {
				return "1 " + one
			}
			return fmt.Sprintf("%d %s", n, many)
		},
		"date":   func(t time.Time) string { return t.Format("2 January 2006") },
		"moment": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
	}).ParseFS(templates, "templates/layout.html", "templates/shelf.html")
	if err != nil {
		return nil, err
	}
	all := pages{}
	for _, name := range []string{"home", "terms", "library", "videos", "done", "share", "accounts", "problem"} {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if all[name], err = t.ParseFS(templates, "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// render writes a page, whole or not at all.
func (p pages) render(w http.ResponseWriter, status int, name string, data page) error {
	return p.renderPart(w, status, name, "layout", data)
}

// renderPart writes one of the templates that a page is made of.
func (p pages) renderPart(w http.ResponseWriter, status int, name, part string, data page) error {
	var b bytes.Buffer
	if err := p[name].ExecuteTemplate(&b, part, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	if errors.Is(err, middleware.ErrNotSaved) {
		return nil // an error page was sent instead
	}
	return err
}
