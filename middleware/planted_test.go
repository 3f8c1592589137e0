package middleware_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
)

// header is what a browser shows that sends its cookies in the order in which they were made, as browsers do,
// and so those that were planted first.
type header struct {
	*browser
	order []string
}

func (h *header) learn() {
	for name := range h.cookies() {
		if !slices.Contains(h.order, name) {
			h.order = append(h.order, name)
		}
	}
}

func (h *header) request(target string) *http.Request {
	r := h.browser.request(http.MethodGet, target, nil)
	var parts []string
	held := h.cookies()
	for _, name := range h.order {
		if value, ok := held[name]; ok {
			parts = append(parts, name+"="+value)
		}
	}
	r.Header.Set("Cookie", strings.Join(parts, "; "))
	return r
}

func (h *header) visit(target string) *http.Response {
	resp := h.do(h.request(target))
	h.learn()
	return resp
}

// plant puts n bindings of the attacker into the browser, and names like theirs with nothing behind them.
func (h *header) plant(attacker *browser, n, names int) {
	for range n {
		one := h.k.browser()
		one.start("plain", "/")
		attacker.knows(one, false)
		h.knows(one, false)
	}
	for i := range names {
		h.setCookie(fmt.Sprintf("__Host-rl-bind-AAAA%04d", i), "x")
	}
	h.learn()
}

// However many bindings were planted in a browser, a sign-in and what comes after it retires them all: at
// once, and when the cookie that says so has gone.
func TestBinding_manyPlanted(t *testing.T) {
	rows := []struct {
		name         string
		valid, names int
		later        time.Duration
	}{
		{"few", 3, 0, 0},
		{"many", 40, 0, 0},
		{"among many names", 20, 150, 0},
		{"many, hours ago", 40, 0, 3 * time.Hour},
		{"among many names, hours ago", 20, 150, 3 * time.Hour},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change)
				pass := at(k)
				victim, attacker := &header{browser: k.browser()}, k.browser()
				victim.plant(attacker, row.valid, row.names)
				pass(time.Second)
				k.location(victim.visit(k.browser().approve(k.location(victim.visit("/auth/plain/login")), "ada")))
				victim.setCookie("__Host-rl", "")
				if pass(row.later); row.later > 2*time.Hour {
					for name := range victim.cookies() { // a browser forgets what we have given it, and not what was planted
						if _, planted := attacker.cookies()[name]; !planted {
							victim.setCookie(name, "")
						}
					}
				}
				for name, value := range attacker.cookies() {
					one := k.browser()
					one.setCookie(name, value)
					callback := k.browser().approve(one.start("plain", "/"), "ada")
					redeems := k.redeems()
					if resp := k.serve(victim.request(callback)); resp.StatusCode == http.StatusSeeOther || k.redeems() != redeems {
						t.Fatalf("a sign-in that the attacker started is finished: %d", resp.StatusCode)
					}
				}
			})
		})
	}
}

// A tab that starts while the answer of another tab's sign-in is on its way shows the binding from before. Its
// own sign-in is not finished, and it comes to its page all the same.
func TestBinding_startMeanwhile(t *testing.T) {
	for _, order := range []string{"the sign-in's answer first", "the start's answer first"} {
		for _, out := range []bool{false, true} {
			t.Run(fmt.Sprint(order, ", signed out: ", out), func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					b := k.browser()
					first := b.approve(b.start("plain", "/one"), "ada")
					start := b.request(http.MethodGet, "/auth/plain/login?return_to=/two", nil)
					answers := []*http.Response{k.serve(b.callback(first)), k.serve(start)}
					second := b.approve(k.location(answers[1]), "ada")
					if order == "the start's answer first" {
						slices.Reverse(answers)
					}
					for _, answer := range answers {
						b.keep(answer)
					}
					if out {
						b.post("/auth/logout", nil)
						if page := text(b.back(second)); !strings.Contains(page, "return_to=%2Ftwo") {
							t.Errorf("the page does not lead on to /two: %s", page)
						}
						return
					}
					b.lands(strings.Replace(second, "/auth/plain/", "/auth/idp/", 1), "/", ada) // started with another provider
					b.lands(second, "/two", ada)
				})
			})
		}
	}
}
