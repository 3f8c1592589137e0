package middleware_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// awaited is a store that tells of each redemption that somebody asks for.
type awaited struct {
	sessionstore.Store
	asked chan struct{}
}

func (s awaited) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if k.Kind == "redemption" {
		select {
		case s.asked <- struct{}{}:
		default:
		}
	}
	return s.Store.Load(ctx, k)
}

// A request that waits for a sign-in has come before it ended, and what it knows of the session is from then. It brings
// the cookie all the same: the answer of the request that signed in may be lost, or have been a page that asks again.
func TestCallback_waits(t *testing.T) {
	stepUp := func(b *browser) string {
		b.signIn("idp", "ada", "/")
		return b.approve(b.k.location(b.open("/level")), "ada")
	}
	signIn := func(b *browser) string { return b.approve(b.start("idp", "/whoami"), "ada") }
	rows := []struct {
		name     string
		callback func(b *browser) string
	}{
		{"a first visit", signIn},
		{"an anonymous session", func(b *browser) string { b.put("cart", "full"); return signIn(b) }},
		{"signed in as somebody else", func(b *browser) string { b.signIn("plain", "grace", "/"); return signIn(b) }},
		{"signed in already", func(b *browser) string { b.signIn("idp", "ada", "/"); return signIn(b) }},
		{"a step-up", stepUp},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				k.gate("/level", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
				b := k.browser()
				callback := row.callback(b)
				store := awaited{k.auth.Store(), make(chan struct{})}
				k.auth.SetStore(store)
				begun, over := make(chan struct{}), make(chan struct{})
				k.idp.Set(func(b *providertest.Behavior) {
					b.ACR = "gold"
					b.Token = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
						close(begun)
						<-over
						next(w, r)
					}
				})
				first, ended, landed := b.callback(callback), make(chan struct{}), make(chan *http.Response)
				go func() { defer close(ended); k.serve(first) }() // its answer is lost
				<-begun
				go func() { landed <- b.back(callback) }()
				<-store.asked
				close(over)
				<-ended
				for resp := (*http.Response)(nil); resp == nil; {
					select {
					case <-store.asked:
					case resp = <-landed:
						if k.location(resp) == "" {
							t.Error("no location")
						}
					}
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in as %s", got)
				}
			})
		})
	}
}
