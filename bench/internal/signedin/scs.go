package signedin

import (
	"net/http"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/bench/internal/visit"
)

// SCS returns contenders on scs as scs.New makes it: memstore, and gob for the whole session.
func SCS() ([]*Contender, error) {
	sessions := scs.New()
	fill := sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fill(1, func(key, value string) { sessions.Put(r.Context(), key, value) })
		answer(w, true)
	}))
	var b visit.Browser
	if _, err := b.Open(fill, "/fill"); err != nil {
		return nil, err
	}
	next := alternate()
	behind := func(name string, h http.HandlerFunc) *Contender {
		return &Contender{Name: "scs + memstore, " + name, Handler: sessions.LoadAndSave(h), Cookie: b.Line()}
	}
	return []*Contender{
		behind("one of ten keys read", func(w http.ResponseWriter, r *http.Request) {
			answer(w, sessions.GetString(r.Context(), read) != "")
		}),
		behind("one of ten keys written", func(w http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), written, next())
			answer(w, true)
		}),
	}, nil
}
