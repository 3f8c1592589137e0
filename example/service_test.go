package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// signIn gets a browser to the page of videos.
func (b *browser) signIn() view {
	b.t.Helper()
	v := b.approve(b.submit("/connect", half(b.acceptTerms())), "ada")
	return b.submit("/library", whole(v))
}

// A provider without videos: the catalogue is ours, the greeting is the provider's.
func TestHouseCatalogue(t *testing.T) {
	s := newStage(t, func(p service) []service {
		p.videos, p.pictures = "", ""
		return []service{p}
	})
	s.idp.Set(func(b *providertest.Behavior) {
		b.Person = func(_ providertest.Account, c map[string]any) { c["name"] = "Ada, Countess of Lovelace" }
	})
	b := s.browser()
	v := b.signIn()
	b.shows(v, 200, "Hello Ada, Countess of Lovelace.", "house catalogue", "Nine Bridges", "<svg class=\"poster")
	v = b.submit("/videos", url.Values{"page_tag": {v.tag()}, "video": {"house-4"}})
	b.shows(v, 200, "has 1 video.", "Nine Bridges")
}

func TestSeveralProviders(t *testing.T) {
	s := newStage(t, func(p service) []service { return []service{p, github("id", "secret")} })
	b := s.browser()
	b.shows(b.acceptTerms(), 200, "Connect with Practice", "Connect with GitHub")
	b.shows(b.open(b.open("/").link("Sign in")), 200, "GitHub")
	f := half(b.open("/library"))
	f.Set("provider", "github")
	if v := b.submit("/connect", f); !strings.HasPrefix(v.to, "https://github.com/login/oauth/authorize?") {
		t.Errorf("got %q, want GitHub", v.to)
	}
}

func TestTroubleWithTheAPI(t *testing.T) {
	for _, tt := range []struct {
		name     string
		behavior func(*providertest.Behavior)
		status   int
		want     string
		retry    string // text of the button
		to       string // where it leads
	}{
		{"down", func(b *providertest.Behavior) { b.API = answerWith(http.StatusInternalServerError) }, 502, "Practice did not answer", "Try again", "/videos"},
		{"not allowed", func(b *providertest.Behavior) { b.API = answerWith(http.StatusForbidden) }, 403, "We may not see your videos", "Allow access to videos", "/auth/practice/login?"},
		{"no list", func(b *providertest.Behavior) { b.API = answerWith(http.StatusOK) }, 502, "Practice did not answer", "Try again", "/videos"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, nil)
			b := s.browser()
			b.signIn()
			s.idp.Set(tt.behavior)
			v := b.open("/videos")
			b.shows(v, tt.status, tt.want)
			if got := v.link(tt.retry); !strings.HasPrefix(got, tt.to) {
				t.Errorf("%s leads to %q, want %q", tt.retry, got, tt.to)
			}
			s.idp.SetBehavior(providertest.Behavior{})
			b.shows(b.open("/videos"), 200, "Nanoseconds")
		})
	}
}

// What may be well in a moment can be asked for again; what a form was about would be lost on the way.
func TestTroubleOfTheMoment(t *testing.T) {
	s := newStage(t, nil)
	for method, want := range map[string]bool{http.MethodGet: true, http.MethodPost: false} {
		w := httptest.NewRecorder()
		p := &middleware.Problem{Status: http.StatusServiceUnavailable, Title: "One moment, please", Reason: middleware.ReasonStore}
		s.app.showProblem(w, httptest.NewRequest(method, s.base+"/videos", nil), p)
		if got := strings.Contains(w.Body.String(), `<a class="button" href="">Try again</a>`); got != want {
			t.Errorf("%s: got a button %t, want %t: %s", method, got, want, w.Body)
		}
	}
}

func answerWith(status int) providertest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("not JSON"))
	}
}

// A provider known by its issuer alone: where its userinfo is stands in its metadata, and the token
// goes there.
func TestUserInfoOfAnyProvider(t *testing.T) {
	s := newStage(t, func(p service) []service {
		return []service{openID(p.provider.(*providers.OIDC).Issuer, providertest.ClientID, providertest.ClientSecret, nil)}
	})
	b := s.browser()
	f := half(b.acceptTerms())
	f.Set("provider", "oidc")
	v := b.approve(b.submit("/connect", f), "ada")
	b.shows(b.submit("/library", whole(v)), 200, "Hello Ada Lovelace.", "house catalogue")
	b.shows(b.open("/api/me"), 200, `"name":"Ada Lovelace"`)
}
