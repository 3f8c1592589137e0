package judge

import (
	"net/url"
	"unicode/utf8"

	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// An Expectation is what is known of an answer before it comes.
type Expectation struct {
	Issuer   string // what iss must be, RFC 9207; "" if it is not known: then iss says nothing
	Required bool   // iss must be there
}

// foreign parameters in an answer belong to flows that we do not use: RFC 9700, section 2.1.2.
var foreign = []string{"access_token", "id_token", "token_type", "expires_in", "refresh_token", "response"}

// Flaw returns what is wrong with an answer, whatever it is the answer to; "" if nothing is.
func Flaw(answer url.Values) string {
	// "Request and response parameters MUST NOT be included more than once." RFC 6749, section
	// 3.1. Of two values, one reader takes the first and another one the last.
	for name, values := range answer {
		if len(values) != 1 {
			return "parameter twice"
		}
		if !utf8.ValidString(name) || !grammar.Text(values[0]) {
			return "malformed parameter"
		}
	}
	for _, name := range foreign {
		if answer.Has(name) {
			return "parameter of another flow"
		}
	}
	return ""
}

// Mismatch returns why the answer may be of another issuer; "" if it is not.
//
// "clients MUST then compare the result to the issuer identifier of the authorization server where the
// authorization request was sent to. […] If the value does not match […] clients MUST reject the
// authorization response and MUST NOT proceed with the authorization grant. For error responses, clients
// MUST NOT assume that the error originates from the intended authorization server." RFC 9207, section 2.4.
func (e Expectation) Mismatch(answer url.Values) string {
	switch {
	case e.Issuer == "":
		return ""
	case !answer.Has("iss") && e.Required:
		return "no iss"
	case answer.Has("iss") && answer.Get("iss") != e.Issuer:
		return "wrong iss"
	}
	return ""
}

// Denial returns the refusal that an answer with an error is, and what is wrong with it; "" if nothing is.
func (rules *Rules) Denial(answer url.Values) (r Refusal, why string) {
	if answer.Has("code") {
		return r, "code and error"
	}
	if answer.Get("error") == "" {
		return r, "empty error"
	}
	r = Refusal{Provider: rules.Provider, Endpoint: "authorization"}
	r.say(answer.Get("error"), answer.Get("error_description"), answer.Get("error_uri"))
	return r, ""
}
