package sql_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

// person is the app's user id of whoever signs in.
const person = "person-1"

// app returns an app on a store.
func app(t *testing.T, idp *providertest.Server, store sessionstore.Store, keys sessionstore.Keyring) (*middleware.Auth, http.Handler) {
	t.Helper()
	auth, err := middleware.New(middleware.Config{
		BaseURL:    "https://app.example",
		Providers:  []providers.Provider{idp.OAuth2("idp")},
		Store:      store,
		Keys:       keys,
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: &http.Client{Transport: idp.Transport()},
		OnLogin:    func(_ context.Context, l *middleware.Login) error { l.Account.ID = person; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return auth, auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := middleware.User(r.Context()); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
}

// visit is a browser that signs in, and returns its cookies.
func visit(t *testing.T, idp *providertest.Server, h http.Handler) map[string]string {
	t.Helper()
	cookies := map[string]string{}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := ask(h, cookies, "https://app.example/auth/idp/login?return_to=/").Header().Get("Location")
	back, err := idp.Approve(t.Context(), &http.Client{Transport: idp.Transport(), Jar: jar}, to, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(h, cookies, back); w.Header().Get("Location") != "/" {
		t.Fatalf("status %d, landed at %q, want /", w.Code, w.Header().Get("Location"))
	}
	return cookies
}

// ask loads a page, and follows one that loads itself again.
func ask(h http.Handler, cookies map[string]string, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", "text/html")
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	var w *httptest.ResponseRecorder
	for began := time.Now(); r != nil; r = pagetest.Next(began, r, w.Code, w.Header()) {
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			cookies[c.Name] = c.Value
		}
	}
	return w
}

// A thousand sessions of one person are listed and ended in a few statements. On the machine of the
// measurement that took less than a second each; a busy one gets ten.
func TestThousandSessions(t *testing.T) {
	const sessions, most = 1000, 10 * time.Second
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			idp := providertest.New(providertest.Config{Issuer: "https://idp.example"})
			keys := sessionstore.NewKeyring()
			memory := &seen{Store: &sessionstore.Memory{}, keys: map[sessionstore.Key]bool{}}
			_, h := app(t, idp, memory, keys)
			var browsers []map[string]string
			for range sessions {
				browsers = append(browsers, visit(t, idp, h))
			}
			store, err := sqlstore.New(t.Context(), d.empty(t)(), sqlstore.Config{Timeout: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			move(t, memory, store, keys)
			auth, h := app(t, idp, store, keys)
			began := time.Now()
			all, err := auth.SessionsOf(t.Context(), person)
			listed := time.Since(began)
			if err != nil || len(all) != sessions {
				t.Fatalf("%d sessions, %v, want %d", len(all), err, sessions)
			}
			began = time.Now()
			err = auth.SignOutUser(t.Context(), person)
			ended := time.Since(began)
			if err != nil {
				t.Fatal(err)
			}
			if listed > most || ended > most {
				t.Errorf("listed in %v, ended in %v, want %v at most", listed, ended, most)
			}
			t.Logf("listed in %v, ended in %v", listed.Round(time.Millisecond), ended.Round(time.Millisecond))
			for i, cookies := range browsers {
				if w := ask(h, cookies, "https://app.example/"); w.Code != http.StatusUnauthorized {
					t.Fatalf("browser %d: status %d, want 401", i, w.Code)
				}
			}
			if all, err := auth.SessionsOf(t.Context(), person); err != nil || len(all) != 0 {
				t.Errorf("%d sessions, %v, want none", len(all), err)
			}
			visit(t, idp, h)
		})
	}
}

// move copies what an app has stored.
func move(t *testing.T, from *seen, to sessionstore.Store, keys sessionstore.Keyring) {
	t.Helper()
	source, target := sessionstore.Sealed(from.Store, keys), sessionstore.Sealed(to, keys)
	var us []sessionstore.KeyedChange
	for k := range from.keys {
		rec, err := source.Load(t.Context(), k)
		if errors.Is(err, sessionstore.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c := sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: rec.Expires}
		for f := range rec.All() {
			c.Set = append(c.Set, f)
		}
		us = append(us, sessionstore.KeyedChange{Key: k, Change: c})
	}
	for _, err := range target.UpdateAll(t.Context(), us) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A SQLite file that may not grow any more: sessions end all the same, and a sign-out of everything makes
// its own room.
func TestSQLiteFull_signOut(t *testing.T) {
	db := openSQLite(t, sqliteFile(t)+"?_pragma=page_size(512)&_pragma=synchronous(OFF)")
	db.SetMaxOpenConns(1)
	idp := providertest.New(providertest.Config{Issuer: "https://idp.example"})
	auth, h := app(t, idp, newStore(t, db), sessionstore.NewKeyring())
	var browsers []map[string]string
	for range 20 {
		browsers = append(browsers, visit(t, idp, h))
	}
	pages := 0
	if err := db.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	do(t, db, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
	if err := auth.SignOutUser(t.Context(), person); err != nil {
		t.Errorf("sign-out of everything: %v", err)
	}
	for i, cookies := range browsers {
		if w := ask(h, cookies, "https://app.example/"); w.Code != http.StatusUnauthorized {
			t.Errorf("browser %d: status %d, want 401", i, w.Code)
		}
	}
	visit(t, idp, h) // in the room of those that have gone
}
