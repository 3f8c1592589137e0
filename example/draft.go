package main

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// A draft is the form on the library page, finished or not. As JSON it is what the page saves before
// somebody leaves for the provider.
type draft struct {
	Name     string   `json:"name,omitempty"`
	Audience string   `json:"audience,omitempty"`
	Habits   []string `json:"habits,omitempty"`
	Note     string   `json:"note,omitempty"`
}

// A choice is one option of a field.
type choice struct{ Value, Label string }

var (
	audiences = []choice{
		{"me", "Just me"},
		{"household", "My household"},
		{"group", "A class or a club"},
	}
	habits = []choice{
		{"captions", "Show captions when there are some"},
		{"resume", "Start where I left off"},
		{"suggest", "Suggest something now and then"},
	}
)

const (
	maxName = 80
	maxNote = 1000
	maxForm = 64 << 10 // bytes of any form of the app
)

// draftOf reads the form of r. What no option offers is left out; text is kept as it was typed, so
// that a mistake can be shown and mended.
func draftOf(r *http.Request) draft {
	d := draft{
		Name: strings.TrimSpace(r.PostFormValue("name")),
		Note: strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("note"), "\r\n", "\n")),
	}
	if v := r.PostFormValue("audience"); label(audiences, v) != "" {
		d.Audience = v
	}
	for _, h := range habits {
		if slices.Contains(r.PostForm["habit"], h.Value) {
			d.Habits = append(d.Habits, h.Value)
		}
	}
	return d
}

// Has reports whether habit is ticked.
func (d draft) Has(habit string) bool { return slices.Contains(d.Habits, habit) }

// still adds to what a page says that nothing is lost, if there is something to lose.
func (d draft) still(notice string) string {
	return still(notice, d.Name == "" && d.Audience == "" && len(d.Habits) == 0 && d.Note == "")
}

func still(notice string, empty bool) string {
	if empty {
		return notice
	}
	return notice + " What you have filled in is still here."
}

// tooLong returns the mistakes that keep even a half-filled form from being saved.
func (d draft) tooLong() []mistake {
	var m []mistake
	if utf8.RuneCountInString(d.Name) > maxName {
		m = append(m, mistake{"name", "The name is too long: 80 characters are enough for a spine."})
	}
	if utf8.RuneCountInString(d.Note) > maxNote {
		m = append(m, mistake{"note", "The note is too long: it may have 1,000 characters."})
	}
	return m
}

// mistakes returns everything that is wrong with a form that is meant to be finished.
func (d draft) mistakes() []mistake {
	var m []mistake
	if d.Name == "" {
		m = append(m, mistake{"name", "Give your library a name."})
	}
	m = append(m, d.tooLong()...)
	if d.Audience == "" {
		m = append(m, mistake{"audience", "Say who the library is for."})
	}
	return m
}

func label(choices []choice, value string) string {
	for _, c := range choices {
		if c.Value == value {
			return c.Label
		}
	}
	return ""
}
