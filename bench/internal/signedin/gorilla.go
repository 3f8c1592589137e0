package signedin

import (
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/returnleg/returnleg/bench/internal/visit"
)

const gorillaName = "session"

// Gorilla returns a contender that keeps the same ten values in a signed cookie.
func Gorilla() ([]*Contender, error) {
	store := sessions.NewCookieStore([]byte("a key of the benchmarks, 32 bytes"))
	var b visit.Browser
	_, err := b.Open(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := store.Get(r, gorillaName)
		Fill(1, func(key, value string) { s.Values[key] = value })
		answer(w, err == nil && s.Save(r, w) == nil)
	}), "/fill")
	if err != nil {
		return nil, err
	}
	return []*Contender{{
		Name: "gorilla/sessions cookie, one of ten keys read",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, gorillaName)
			value, _ := s.Values[read].(string)
			answer(w, err == nil && value != "")
		}),
		Cookie: b.Line(),
	}}, nil
}
