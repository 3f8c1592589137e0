package pagetest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

func TestNext(t *testing.T) {
	const target = "https://app.example/auth/idp/callback?code=c&state=s"
	rows := []struct {
		name    string
		method  string
		status  int
		refresh string
		spent   time.Duration // since the first load
		want    string        // "": none
		waits   time.Duration
	}{
		{"the same address", "GET", 202, "1", 0, target, time.Second},
		{"another address", "GET", 202, "0;url=/auth/idp/callback?answer=a", 0, "https://app.example/auth/idp/callback?answer=a", 0},
		{"at last", "GET", 202, "1", time.Minute, target, time.Second},
		{"for too long", "GET", 202, "1", time.Minute + 1, "", 0},
		{"a page about a failure", "GET", 503, "0;url=/auth/idp/callback?answer=a", 0, "", 0},
		{"a redirect", "GET", 303, "", 0, "", 0},
		{"nothing to wait for", "GET", 202, "", 0, "", 0},
		{"a form", "POST", 202, "1", 0, "", 0},
		{"not a number", "GET", 202, "soon", 0, "", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := httptest.NewRequest(row.method, target, nil)
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				r.Header.Set("Cookie", "a=1")
				began := time.Now()
				got := pagetest.Next(began.Add(-row.spent), r, row.status, http.Header{"Refresh": {row.refresh}})
				if waited := time.Since(began); waited != row.waits {
					t.Errorf("waited %v, want %v", waited, row.waits)
				}
				if got == nil || row.want == "" {
					if got != nil || row.want != "" {
						t.Errorf("got %v, want %q", got, row.want)
					}
					return
				}
				if got.URL.String() != row.want || got.RequestURI != got.URL.RequestURI() {
					t.Errorf("got %v and %q, want %q", got.URL, got.RequestURI, row.want)
				}
				if got.Header.Get("Sec-Fetch-Site") != "same-origin" || got.Header.Get("Cookie") != "a=1" {
					t.Errorf("header %v", got.Header)
				}
				if r.Header.Get("Sec-Fetch-Site") != "cross-site" || r.URL.String() != target {
					t.Error("the first request was changed")
				}
			})
		})
	}
}

func TestNext_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodGet, "https://app.example/", nil).WithContext(ctx)
	if got := pagetest.Next(time.Now(), r, http.StatusAccepted, http.Header{"Refresh": {"9"}}); got != nil {
		t.Errorf("got %v, want none", got)
	}
}
