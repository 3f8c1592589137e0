package middleware

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// status is what {Prefix}/status answers, for scripts of the app's own pages: who this browser is
// signed in as, what is connected, and how its latest sign-ins ended, newest first. It never holds
// a token.
type status struct {
	SignedIn    bool         `json:"signed_in"`
	Since       *time.Time   `json:"since,omitempty"`
	Expires     *time.Time   `json:"expires,omitempty"`
	User        *statusUser  `json:"user,omitempty"`
	PageTag     string       `json:"page_tag"`
	Connections []Connection `json:"connections"`
	SignIns     []ending     `json:"sign_ins"`
}

type statusUser struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

func (a *Auth) status(w http.ResponseWriter, q *request) *Problem {
	if p := methods(w, q.r, http.MethodGet, http.MethodHead); p != nil {
		return p
	}
	if q.session.Load().meta.unseen { // scripts ask here first, and no answer is to be repeated any more
		if err := q.save(snapshot{}); err != nil {
			a.event(q, slog.LevelWarn, "session not touched", ReasonStore, slog.Any("error", err))
		}
	}
	s, now := q.view(), a.now()
	st := status{Connections: []Connection{}, SignIns: []ending{}, PageTag: q.pageTag()}
	if s.opens() {
		st.SignIns = append(st.SignIns, s.endings()...)
		slices.SortFunc(st.SignIns, func(x, y ending) int { return y.At.Compare(x.At) })
		st.Expires = &s.record.Expires
	}
	if acc, err := q.user(); err == nil {
		st.SignedIn, st.Since = true, &s.meta.signedIn
		st.User = &statusUser{ID: acc.ID, Name: acc.Identity.Name}
		st.Connections = s.connections(now)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_ = json.NewEncoder(w).Encode(st) // the client is gone: nobody to tell
	return nil
}
