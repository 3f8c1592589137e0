package signedin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/sessions"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"

	"github.com/returnleg/returnleg/bench/internal/visit"
)

// Gothic returns a contender that reads what gothic keeps of a sign-in: tokens in a signed cookie.
// It knows no values of the app.
func Gothic() ([]*Contender, error) {
	// gothic's own store is the same; without this one it writes a warning for each request.
	gothic.Store = sessions.NewCookieStore([]byte("a key of the benchmarks, 32 bytes"))
	kept, err := json.Marshal(openidConnect.Session{
		AuthURL:     "https://idp.example/authorize?client_id=practice&state=" + strings.Repeat("s", 88),
		AccessToken: strings.Repeat("a", 43), RefreshToken: strings.Repeat("r", 43), IDToken: strings.Repeat("i.j", 240),
		ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		return nil, err
	}
	var b visit.Browser
	filled, err := b.Open(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, gothic.StoreInSession("openid-connect", string(kept), r, w) == nil)
	}), "/fill")
	if err != nil {
		return nil, err
	}
	if filled.Status() != http.StatusNoContent {
		return nil, fmt.Errorf("signedin: gothic: filled with status %d", filled.Status())
	}
	return []*Contender{{
		Name: "goth/gothic, its session read",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			value, err := gothic.GetFromSession("openid-connect", r)
			answer(w, err == nil && value != "")
		}),
		Cookie: b.Line(),
	}}, nil
}
