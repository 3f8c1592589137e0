package middleware

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
)

// status is what {Prefix}/status answers, for scripts of the app's own pages: who this browser is
// signed in as, what is connected, and how its latest sign-ins ended, newest first. It never holds
// a token.
type status struct {
	SignedIn    bool             `json:"signed_in"`
	Since       *time.Time       `json:"since,omitempty"`
	Expires     *time.Time       `json:"expires,omitempty"`
	User        *statusUser      `json:"user,omitempty"`
	PageTag     string           `json:"page_tag"`
	Connections []Connection     `json:"connections"`
	SignIns     []session.Ending `json:"sign_ins"`
}

type statusUser struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

func (q *request) status(w http.ResponseWriter) *Problem {
	a := q.auth
	if p := methods(w, q.r, http.MethodGet, http.MethodHead); p != nil {
		return p
	}
	if q.Now.Load().Meta.Unseen { // scripts ask here first, and no answer is to be repeated any more
		if err := q.Save(session.Snapshot{}); err != nil {
			a.env.Log.Event(q, slog.LevelWarn, "session not touched", reason.Store, slog.Any("error", err))
		}
	}
	s, now := q.View(), a.env.Clock()
	st := status{Connections: []Connection{}, SignIns: []session.Ending{}, PageTag: q.pageTag()}
	if s.Opens() {
		st.SignIns = append(st.SignIns, s.Endings()...)
		slices.SortFunc(st.SignIns, func(x, y session.Ending) int { return y.At.Compare(x.At) })
		st.Expires = &s.Record.Expires
	}
	if acc, err := q.user(); err == nil {
		st.SignedIn, st.Since = true, &s.Meta.SignedIn
		st.User = &statusUser{ID: acc.ID, Name: acc.Identity.Name}
		st.Connections = connectionsOf(s, now)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_ = json.NewEncoder(w).Encode(st) // the client is gone: nobody to tell
	return nil
}
