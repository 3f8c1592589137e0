package frameworks_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/returnleg/returnleg/middleware"
)

func events(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /members/events", auth.Require(middleware.Need{})(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			stream := http.NewResponseController(w)
			for n := range 3 {
				who, err := middleware.User(r.Context())
				if err != nil {
					return
				}
				_ = stream.SetWriteDeadline(time.Now().Add(time.Minute))
				fmt.Fprintf(w, "data: %d for %s\n\n", n, who.Identity.Name)
				if stream.Flush() != nil { // the first one saves the session
					return
				}
			}
		})))
	return auth.Handler(mux)
}

func socket(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(hello()))
	mux.Handle("GET /members/socket", auth.Require(middleware.Need{})(middleware.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) error {
			who, err := middleware.User(r.Context())
			if err != nil {
				return err
			}
			conn, err := websocket.Accept(w, r, nil) // refuses pages of other origins
			if err != nil {
				return nil // Accept has answered
			}
			defer conn.CloseNow()
			_ = conn.Write(r.Context(), websocket.MessageText, []byte("Hello, "+who.Identity.Name))
			return nil
		})))
	return auth.Handler(mux)
}
