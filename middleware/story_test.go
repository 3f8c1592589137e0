package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// The main job, in short: leave in one tab, come back in another, be the same session on the same
// page with the state of that moment, and call the API as that person.
func TestSeed_J1_firstVisit(t *testing.T) {
	whoamiAPI := map[string]string{"idp": "/userinfo", "plain": "/me"}
	for provider, path := range whoamiAPI {
		t.Run(provider, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				var logins []middleware.Login
				k := newKit(t, change, func(_ *kit, c *middleware.Config) {
					c.OnLogin = func(ctx context.Context, l *middleware.Login) error {
						logins = append(logins, *l)
						l.Account.ID = "user-1"
						return nil
					}
				})
				type draft struct{ Title, Note string }
				k.handle("POST /connect", func(w http.ResponseWriter, r *http.Request) {
					k.auth.Sessions().Put(r.Context(), "terms", true)
					if err := middleware.SavePage(r.Context(), draft{r.PostFormValue("title"), r.PostFormValue("note")}); err != nil {
						t.Error(err)
					}
					to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: provider}, "/form?step=2")
					if err != nil {
						t.Error(err)
					}
					http.Redirect(w, r, to, http.StatusSeeOther)
				})
				k.handle("GET /form", func(w http.ResponseWriter, r *http.Request) {
					var d draft
					err := middleware.Returned(r.Context(), &d)
					fmt.Fprintf(w, "%v %v %v", d, err, k.auth.Sessions().GetBool(r.Context(), "terms"))
				})
				k.handle("GET /me", func(w http.ResponseWriter, r *http.Request) {
					resp, err := middleware.Client(r.Context(), provider).Get(path)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					var me map[string]any
					if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
						t.Error(err)
					}
					fmt.Fprint(w, me["name"])
				})

				b := k.browser()
				login := k.location(b.post("/connect", url.Values{"title": {"Half"}, "note": {"filled in"}}))
				if !strings.HasPrefix(login, "/auth/"+provider+"/login?") {
					t.Fatalf("login URL %q", login)
				}
				landing := k.location(b.back(b.approve(k.location(b.open(login)), "ada")))
				if !strings.HasPrefix(landing, "/form?step=2&rl=") {
					t.Fatalf("landed at %q, want /form?step=2&rl=…", landing)
				}
				for range 2 { // a reload shows it again
					if got, want := text(b.open(landing)), "{Half filled in} <nil> true"; got != want {
						t.Errorf("page state %q, want %q", got, want)
					}
				}
				if got, want := text(b.open("/form?step=2")), "{ } middleware: no page state true"; got != want {
					t.Errorf("another page has state %q, want %q", got, want)
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in as %q", got)
				}
				if got := text(b.open("/me")); got != "Ada Lovelace" {
					t.Errorf("API says %q", got)
				}
				if len(logins) != 1 || !logins[0].IsNew || k.redeems() != 1 {
					t.Errorf("%d logins, %d token requests, want one of each, new: %+v", len(logins), k.redeems(), logins)
				}

				// Seed J2: a returning visitor.
				k.location(b.post("/auth/logout", nil))
				if got := b.whoami(); got != "nobody" {
					t.Errorf("signed in as %q after sign-out", got)
				}
				b.signIn(provider, "ada", "/form")
				if len(logins) != 2 || logins[1].IsNew || logins[1].Account.ID != "user-1" {
					t.Errorf("second visit: %+v", logins)
				}
			})
		})
	}
}
