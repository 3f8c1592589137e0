package middleware_test

import (
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// An error may be given to many requests at once, as that of one refresh is to all who wait for it:
// to answer one of them changes nothing about it.
func TestAnswer_sharedProblem(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = "http://127.0.0.1:8080" })
	given := &middleware.Problem{Status: http.StatusServiceUnavailable, Reason: middleware.ReasonStore}
	k.handle("/fails", func(w http.ResponseWriter, r *http.Request) { middleware.Answer(w, r, given) })
	if got := k.browser().open("/fails").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got)
	}
	if len(given.Hints) > 0 {
		t.Errorf("the error has the hints for one request now: %q", given.Hints)
	}
}
