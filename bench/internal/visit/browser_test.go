package visit_test

import (
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/bench/internal/visit"
)

// What the handlers see depends on the cookies: one that is replaced must not be sent twice, and
// one that was removed not at all.
func TestBrowser(t *testing.T) {
	rows := []struct {
		name string
		set  []http.Cookie
		want string
	}{
		{"none", nil, ""},
		{"two", []http.Cookie{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, "a=1; b=2"},
		{"replaced", []http.Cookie{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}, "a=2"},
		{"removed", []http.Cookie{{Name: "a", Value: "1"}, {Name: "a", MaxAge: -1}}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := ""
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get("Cookie")
				for i := range row.set {
					http.SetCookie(w, &row.set[i])
				}
				http.Redirect(w, r, "/next", http.StatusSeeOther)
			})
			var b visit.Browser
			a, err := b.Open(h, "/first")
			if err != nil {
				t.Fatal(err)
			}
			if a.Status() != http.StatusSeeOther || a.Location() != "/next" {
				t.Errorf("%d to %q, want 303 to /next", a.Status(), a.Location())
			}
			if got != "" {
				t.Errorf("the first request had cookies: %q", got)
			}
			if _, err := b.Open(h, a.Location()); err != nil {
				t.Fatal(err)
			}
			if got != row.want {
				t.Errorf("cookies %q, want %q", got, row.want)
			}
		})
	}
}
