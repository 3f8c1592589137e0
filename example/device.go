package main

import (
	"net/http"
	"strings"
)

// A sign is a word of a User-Agent, and what it gives away.
type sign struct{ word, name string }

// Most browsers name others, too, to be treated like them: the first sign that is there counts.
var (
	browserSigns = []sign{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systemSigns = []sign{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// device says in a few words where a sign-in comes from, for the person to recognize it. It is what the
// browser claims, and proves nothing.
func device(r *http.Request) string {
	agent := r.UserAgent()
	browser, system := first(browserSigns, agent), first(systemSigns, agent)
	if browser == "" {
		browser = "A browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

func first(signs []sign, agent string) string {
	for _, s := range signs {
		if strings.Contains(agent, s.word) {
			return s.name
		}
	}
	return ""
}
