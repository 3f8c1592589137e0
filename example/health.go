package main

import (
	"context"
	"net/http"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// serveHealth tells whether the app can do its work. A store that is down is no reason to restart the
// app, which serves what needs no session and comes back by itself: the status is 200 all the same,
// and says so.
func (a *app) serveHealth(w http.ResponseWriter, r *http.Request) {
	status := map[string]string{"status": "ok", "store": "ok"}
	if p, ok := a.store.(sessionstore.Pinger); ok {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := p.Ping(ctx); err != nil {
			a.log.WarnContext(r.Context(), "store", "error", err)
			status = map[string]string{"status": "degraded", "store": "unreachable"}
		}
	}
	writeJSON(w, http.StatusOK, "application/json", status)
}
