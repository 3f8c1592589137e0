package middleware

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Problem is why a request was not served, and what the person can do about it. It is an error,
// and as JSON a problem document (RFC 9457).
type Problem struct {
	Status int    `json:"status"` // of the answer
	Title  string `json:"title"`  // for the person, as Detail: what happened
	Detail string `json:"detail"` // and what they can do
	Reason Reason `json:"reason"` // for the program

	// Provider is the name of the one that it was about, if any.
	Provider string `json:"provider,omitempty"`

	// ProviderCode is what a provider said no with (RFC 6749, section 4.1.2.1), such as
	// "access_denied"; "" if it was not one of the codes that the standards name.
	ProviderCode string `json:"provider_code,omitempty"`

	// LoginURL starts the sign-in, or starts it again. If LoginPost is set it takes the POST of
	// an empty form: a link must not do, because other sites could have one.
	LoginURL  string `json:"login_url,omitempty"`
	LoginPost bool   `json:"login_post,omitempty"`

	// BackURL is where the person was when they left, with what they had filled in.
	BackURL string `json:"back_url,omitempty"`

	// RetryAfter is how long to wait before trying again, as the header Retry-After says it, in full
	// seconds; 0 if that would not help.
	RetryAfter time.Duration `json:"-"`

	// Hints are the cause that was found and the usual ones, for a developer: on pages, and only where BaseURL is
	// loopback. Some have words of others in them, as text: a page escapes them.
	Hints []string `json:"hints,omitempty"`

	cause error
	told  bool     // the log knows: see [request.moveOn]
	found []string // the causes, where the log knows them
}

// Error names the reason and the cause.
func (p *Problem) Error() string {
	s := "middleware: " + string(p.Reason)
	if p.cause != nil {
		s += ": " + p.cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// MarshalJSON returns the problem document.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	return json.Marshal(struct {
		Type string `json:"type"`
		*plain
	}{"about:blank", (*plain)(p)})
}

// problem returns the Problem of a reason.
func problem(code string, cause error) *Problem {
	if errors.Is(cause, sessionstore.ErrFull) {
		code = reason.Full
	}
	t := answers[Reason(code)]
	p := &Problem{Status: t.status, Title: t.title, Detail: t.detail, Reason: Reason(code), cause: cause}
	if p.Status == http.StatusServiceUnavailable {
		p.RetryAfter = 5 * time.Second
	}
	var refused *providers.Error
	if errors.As(cause, &refused) {
		p.Provider, p.ProviderCode = refused.Provider, refused.KnownCode()
	}
	return p
}

// broken returns what a handler is told of an error of the store: [Answer] makes 503 of it. nil is none.
func broken(err error) error {
	if err == nil {
		return nil
	}
	return problem(reason.Store, err)
}

// whole returns a copy of p that can be answered: one that an app made may have nothing but a reason,
// or not even that.
func (p *Problem) whole() *Problem {
	if p == nil {
		return problem(reason.Handler, nil)
	}
	own := *p
	t, known := answers[own.Reason]
	if !known {
		t = answers[reason.Handler]
	}
	own.Reason, own.Title, own.Detail = cmp.Or(own.Reason, reason.Handler), cmp.Or(own.Title, t.title), cmp.Or(own.Detail, t.detail)
	if own.Status < 400 || own.Status > 599 {
		own.Status = t.status
	}
	return &own
}

// problemOf returns the Problem of an error that has a code; nil of none.
func problemOf(err error) *Problem {
	var refused *reason.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return problem(refused.Code, refused.Cause)
	}
	return problem(reason.Handler, err)
}

// methods refuses requests by any other method than those.
func methods(w http.ResponseWriter, r *http.Request, allowed ...string) *Problem {
	for _, m := range allowed {
		if r.Method == m {
			return nil
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem(reason.Method, nil)
}
