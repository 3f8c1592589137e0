package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/web"
)

// refuse turns a problem into an answer: this is the one place that does. A page load gets a page,
// everything else the problem document.
func (a *Auth) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	if errors.Is(p.cause, context.Canceled) && r.Context().Err() != nil {
		p = problem(reason.ClientGone, p.cause) // whatever it was that came to nothing: nobody waits for it
	}
	attrs := []slog.Attr{slog.Int("status", p.Status)}
	if p.Provider != "" {
		attrs = append(attrs, slog.String("provider", p.Provider))
	}
	if p.ProviderCode != "" {
		attrs = append(attrs, slog.String("provider_code", p.ProviderCode))
	}
	if p.cause != nil {
		attrs = append(attrs, slog.String("error", p.cause.Error()))
	}
	if causes := a.causes(p); len(causes) > 0 {
		attrs = append(attrs, slog.String("cause", strings.Join(causes, "; ")))
	}
	level := slog.LevelInfo
	if p.Status >= 500 {
		level = slog.LevelError
	}
	switch {
	case p.told:
	case p.Reason == reason.Pending:
		a.env.Log.Visitor(r.Context(), level, "sign-in still under way", string(p.Reason), attrs...)
	default:
		a.env.Log.Visitor(r.Context(), level, "refused", string(p.Reason), attrs...)
	}

	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.RetryAfter.Seconds())))
	}
	if p.Reason == reason.Pending && h.Get("Refresh") == "" {
		// The page loads itself again, also one of the app's own.
		// https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps
		h.Set("Refresh", "1")
	}
	if p.Status == http.StatusUnauthorized {
		// "The server generating a 401 response MUST send a WWW-Authenticate header field
		// containing at least one challenge." RFC 9110, section 15.5.2.
		h.Set("WWW-Authenticate", `Cookie realm="`+a.app.Origin+`"`)
	}
	if p.Reason == reason.NotSaved {
		if q, err := from(r.Context()); err == nil {
			q.markReplaced(h)
		}
	}
	if !web.PageLoad(r) {
		h.Set("Content-Type", "application/problem+json")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	p.Hints = a.hints(p, r)
	if a.errorPage != nil {
		a.errorPage(w, r, p)
		return
	}
	shown := page.Page{
		Status: p.Status, Title: p.Title, Detail: p.Detail, Reason: string(p.Reason), ProviderCode: p.ProviderCode, Provider: p.Provider,
		LoginURL: p.LoginURL, LoginPost: p.LoginPost, BackURL: p.BackURL, Home: a.app.Home, Hints: p.Hints,
		Reload: (p.Status >= http.StatusInternalServerError || p.Reason == reason.Pending) && p.LoginURL == "" && r.Method == http.MethodGet,
	}
	if p.LoginPost {
		shown.Tag = PageTag(r.Context())
	}
	shown.Write(w)
}
