// Package signedin measures what it costs a request that its browser is signed in: an empty handler
// behind one kind of session or another, in process; and the same with the session in a Redis on loopback.
package signedin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/visit"
)

// A Contender is an app whose handler does one thing with the session and answers 204.
type Contender struct {
	Name    string
	Handler http.Handler
	Cookie  string // header of a browser whose session is filled
}

// Serve sends one request. All contenders get the same one: it and its response writer are made
// anew each time, as a server does, and are part of what is measured.
func (c *Contender) Serve() int {
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, visit.Site+"/page", nil) // a constant URL
	if c.Cookie != "" {
		r.Header.Set("Cookie", c.Cookie)
	}
	w := visit.NewAnswer()
	c.Handler.ServeHTTP(w, r)
	return w.Status()
}

// Case returns the contender as a case to measure.
func (c *Contender) Case() measure.Case {
	return measure.Case{Name: c.Name, Run: func(n int, m *measure.Meter) error {
		m.Start()
		defer m.Stop()
		for range n {
			if got := c.Serve(); got != http.StatusNoContent {
				return fmt.Errorf("signedin: %s: status %d, want 204", c.Name, got)
			}
		}
		return nil
	}}
}

// Bare is an empty handler, which the others are compared with. It gets a cookie, too.
func Bare() *Contender {
	return &Contender{Name: "bare", Handler: http.HandlerFunc(noContent), Cookie: "session=0123456789012345678901"}
}

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// answer returns 204 if ok, and 500 otherwise, which fails the measurement.
func answer(w http.ResponseWriter, ok bool) {
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// All returns every contender, [Bare] first.
func All() ([]*Contender, error) {
	all := []*Contender{Bare()}
	for _, more := range []func() ([]*Contender, error){Ours, SCS, Gorilla, Gothic} {
		cs, err := more()
		if err != nil {
			return nil, err
		}
		all = append(all, cs...)
	}
	return all, nil
}
