// Package pagetest does for the clients of tests what a browser does with a page that loads itself again.
package pagetest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// patience is for how long a client stays on such pages: a sign-in ends before.
const patience = time.Minute

// Next returns the request by which a browser loads again the page that r was answered with: the page of a callback
// whose sign-in goes on, with status 202 and a Refresh header. It waits as long as the header says. It returns nil
// for every other answer, if the context of r ends, and a minute after the first load began.
//
//	for began := time.Now(); r != nil; r = pagetest.Next(began, r, resp.StatusCode, resp.Header) {
//		resp = …
//	}
//
// The request has the cookies that r has; an [http.Client] with a jar adds its own to the request it is given, and
// needs a clone of r.
func Next(began time.Time, r *http.Request, status int, answer http.Header) *http.Request {
	refresh := answer.Get("Refresh")
	if r.Method != http.MethodGet || status != http.StatusAccepted || refresh == "" || time.Since(began) > patience {
		return nil
	}
	delay, to, _ := strings.Cut(refresh, ";url=")
	seconds, err := strconv.Atoi(delay)
	if err != nil {
		return nil
	}
	u, err := r.URL.Parse(to)
	if err != nil {
		return nil
	}
	wait := time.NewTimer(time.Duration(seconds) * time.Second)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
		return nil
	}
	next := r.Clone(r.Context())
	next.URL = u
	if next.RequestURI != "" {
		next.RequestURI = u.RequestURI()
	}
	if next.Header.Get("Sec-Fetch-Site") != "" {
		next.Header.Set("Sec-Fetch-Site", "same-origin") // it is the page itself that loads
	}
	return next
}
