package middleware_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// asking is a log handler that adds what the session says to each event that belongs to a request, as
// apps do that serve several tenants.
type asking struct {
	slog.Handler
	sessions *scs.SessionManager
}

func (h asking) Handle(ctx context.Context, r slog.Record) error {
	if err := middleware.Check(ctx, middleware.Need{}); !errors.Is(err, middleware.ErrNoMiddleware) {
		r.AddAttrs(slog.String("tenant", h.sessions.GetString(ctx, "tenant")))
	}
	return h.Handler.Handle(ctx, r)
}

// A log handler may ask the session of the request that an event is about, whatever that request is doing
// to its session.
func TestLog_asksTheSession(t *testing.T) {
	rows := []struct {
		name  string
		do    func(sm *scs.SessionManager, w http.ResponseWriter, r *http.Request)
		event string
	}{
		{"SignOut", func(_ *scs.SessionManager, _ http.ResponseWriter, r *http.Request) {
			_ = middleware.SignOut(r.Context())
		}, "signed out"},
		{"SignOut, Save", func(_ *scs.SessionManager, _ http.ResponseWriter, r *http.Request) {
			_, _ = middleware.SignOut(r.Context()), middleware.Save(r.Context())
		}, "signed out"},
		{"Destroy", func(sm *scs.SessionManager, _ http.ResponseWriter, r *http.Request) { _ = sm.Destroy(r.Context()) }, "signed out"},
		{"Destroy, Commit", func(sm *scs.SessionManager, _ http.ResponseWriter, r *http.Request) { // which has the manager's lock
			_ = sm.Destroy(r.Context())
			_, _, _ = sm.Commit(r.Context())
		}, "signed out"},
		{"Destroy, Commit within the answer", func(sm *scs.SessionManager, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = sm.Destroy(r.Context())
			_, _, _ = sm.Commit(r.Context())
		}, "signed out"},
		{"a touch that fails", func(*scs.SessionManager, http.ResponseWriter, *http.Request) {}, "session not touched"},
		{"disconnected", func(_ *scs.SessionManager, _ http.ResponseWriter, r *http.Request) {
			_ = middleware.Disconnect(r.Context(), "")
		}, "disconnected"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			sm, with := withManager(func(sm *scs.SessionManager) { sm.IdleTimeout = time.Hour })
			k := newKit(t, with, func(k *kit, c *middleware.Config) {
				c.Logger = slog.New(asking{slog.NewTextHandler(k.log, nil), sm})
			})
			w := watch(k)
			k.handle("/do", func(w http.ResponseWriter, r *http.Request) { row.do(sm, w, r) })
			k.handle("/tenant", func(_ http.ResponseWriter, r *http.Request) { sm.Put(r.Context(), "tenant", "blue") })
			b := k.browser()
			b.signIn("idp", "ada", "/")
			b.open("/tenant")
			if row.event == "session not touched" {
				k.auth.SetNow(func() time.Time { return time.Now().Add(30 * time.Minute) })
				var once sync.Once
				w.on(func(op string, key sessionstore.Key) (err error) {
					if op == "update" {
						once.Do(func() { err = errors.New("read only") })
					}
					return err
				})
			}
			done := make(chan struct{})
			go func() {
				b.open("/do")
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(time.Minute): // for ever
				t.Fatal("the log waits for the session, and the session for the log")
			}
			if !strings.Contains(k.log.String(), row.event) {
				t.Errorf("not in the log: %s\n%s", row.event, k.log)
			}
		})
	}
}
