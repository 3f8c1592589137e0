package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestDraft(t *testing.T) {
	long, tooLong := strings.Repeat("é", maxName), strings.Repeat("é", maxName+1)
	for _, tt := range []struct {
		name     string
		form     url.Values
		want     draft
		mistakes []string // fields
		unsaved  bool     // not even as a draft
	}{
		{"empty", nil, draft{}, []string{"name", "audience"}, false},
		{"finished", url.Values{"name": {" Films "}, "audience": {"me"}, "habit": {"resume", "captions"}, "note": {"a\r\nb"}},
			draft{Name: "Films", Audience: "me", Habits: []string{"captions", "resume"}, Note: "a\nb"}, nil, false},
		{"half filled", url.Values{"name": {"Films"}}, draft{Name: "Films"}, []string{"audience"}, false},
		{"not offered", url.Values{"name": {"Films"}, "audience": {"everybody"}, "habit": {"spy"}}, draft{Name: "Films"}, []string{"audience"}, false},
		{"80 characters", url.Values{"name": {long}, "audience": {"me"}}, draft{Name: long, Audience: "me"}, nil, false},
		{"81 characters", url.Values{"name": {tooLong}, "audience": {"me"}}, draft{Name: tooLong, Audience: "me"}, []string{"name"}, true},
		{"long note", url.Values{"name": {"F"}, "audience": {"me"}, "note": {strings.Repeat("n", maxNote+1)}},
			draft{Name: "F", Audience: "me", Note: strings.Repeat("n", maxNote+1)}, []string{"note"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/library", strings.NewReader(tt.form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got := draftOf(r)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			var fields []string
			for _, m := range got.mistakes() {
				fields = append(fields, m.Field)
			}
			if !reflect.DeepEqual(fields, tt.mistakes) {
				t.Errorf("got mistakes in %v, want %v", fields, tt.mistakes)
			}
			if unsaved := got.tooLong() != nil; unsaved != tt.unsaved {
				t.Errorf("too long to save: got %v, want %v", unsaved, tt.unsaved)
			}
		})
	}
}

func TestLength(t *testing.T) {
	for _, tt := range []struct {
		seconds int
		want    string
	}{
		{-1, ""}, {0, ""}, {1, "1 min"}, {60, "1 min"}, {61, "2 min"}, {3540, "59 min"}, {3600, "1 h"}, {5460, "1 h 31 min"},
	} {
		if got := length(tt.seconds); got != tt.want {
			t.Errorf("%d s: got %q, want %q", tt.seconds, got, tt.want)
		}
	}
}
