package judge

import (
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/call"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// A Refusal is what a provider said no with: the fields are those of providers.Error.
type Refusal struct {
	Provider    string
	Endpoint    string
	Code        string
	Description string
	URI         string
	Status      int
	RetryAfter  time.Duration
}

// Refusal returns what an answer of endpoint that is not a success says no with.
func (rules *Rules) Refusal(endpoint string, reply *call.Reply, now time.Time) Refusal {
	r := Refusal{Provider: rules.Provider, Endpoint: endpoint, Status: reply.Status}
	if r.Transient() {
		r.RetryAfter = reply.RetryAfter(now)
		return r
	}
	// It says so in the protocol's own form. A page that mentions a code somewhere says nothing.
	if o, err := rules.Members(reply); err == nil {
		r.describe(rules, o)
	}
	return r
}

// Denied returns the refusal that a token answer with status 200 is; ok is false if it is none.
func (rules *Rules) Denied(o strictjson.Object) (r Refusal, ok bool) {
	if o.Absent("error") {
		return r, false
	}
	r = Refusal{Provider: rules.Provider, Endpoint: "token", Status: 200}
	r.describe(rules, o)
	return r, true
}

// Transient reports whether the refusal is about the moment.
func (r *Refusal) Transient() bool {
	if r.Status == 429 || r.Status >= 500 {
		return true
	}
	return r.Status != 0 && (r.Code == "temporarily_unavailable" || r.Code == "server_error")
}

// describe takes over what a refusal says about itself.
func (r *Refusal) describe(rules *Rules, o strictjson.Object) {
	code, _ := o.String("error")
	description, _ := o.String("error_description")
	uri, _ := o.String("error_uri")
	r.say(code, description, uri)
	if slices.Contains(rules.Spent, r.Code) {
		r.Code = "invalid_grant"
		return
	}
	// A program that believes it signs somebody out of an account: it counts only where RFC 6749, section
	// 5.2, puts it. (403 is where some providers do.)
	if r.Code == "invalid_grant" && r.Status != 400 && r.Status != 401 && r.Status != 403 {
		r.Code = ""
	}
}

// say sets the texts, cleaned.
func (r *Refusal) say(code, description, uri string) {
	r.Code, r.Description, r.URI = grammar.Clean(code, 64), grammar.Clean(description, 512), grammar.Clean(uri, 512)
}

// Known reports whether code is one that the standards name, and may enter a log.
func Known(code string) bool { return knownCodes[code] }

// knownCodes are the error codes that may enter a log: anything else is the provider's free text.
// RFC 6749, sections 4.1.2.1 and 5.2; OpenID Connect Core 1.0, section 3.1.2.6; RFC 6750; RFC 9470.
var knownCodes = map[string]bool{
	"access_denied": true, "account_selection_required": true, "consent_required": true,
	"insufficient_scope": true, "insufficient_user_authentication": true, "interaction_required": true,
	"invalid_client": true, "invalid_grant": true, "invalid_request": true, "invalid_scope": true,
	"invalid_token": true, "login_required": true, "server_error": true,
	"temporarily_unavailable": true, "unauthorized_client": true, "unmet_authentication_requirements": true,
	"unsupported_grant_type": true, "unsupported_response_type": true,
}
