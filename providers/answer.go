package providers

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"unicode/utf8"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// An expectation is what is known of an answer before it comes.
type expectation struct {
	issuer   string // what iss must be, RFC 9207; "" if it is not known: then iss says nothing
	required bool   // iss must be there
	nonce    bool   // the flow has one
}

// foreign parameters in an answer belong to flows that we do not use: RFC 9700, section 2.1.2.
var foreign = []string{"access_token", "id_token", "token_type", "expires_in", "refresh_token", "response"}

// check judges the answer to f and returns its code.
func (p *party) check(f *Flow, answer url.Values, want expectation) (code string, err error) {
	// A value that got lost on the way here must not turn its check into one that passes.
	if err := f.sound(want.nonce); err != nil {
		return "", fmt.Errorf("providers: %s: flow: %w", p.name, err)
	}
	if why := flaw(answer); why != "" {
		return "", p.unacceptable(why)
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(f.State)) != 1 {
		return "", p.unacceptable("wrong state")
	}
	// Before anything that the answer says is believed, its error included.
	if why := want.mismatch(answer); why != "" {
		if !answer.Has("iss") {
			return "", fault.Explain(p.unacceptable(why), "the answer has no iss, and Issuer, which demands it, is %s: a provider that sends none has a Namespace instead", fault.Quoted(want.issuer))
		}
		return "", fault.Explain(p.unacceptable(why), "the answer's iss is %s, Issuer is %s", fault.Quoted(answer.Get("iss")), fault.Quoted(want.issuer))
	}
	if answer.Has("error") {
		return "", p.denial(answer, f)
	}
	code = answer.Get("code")
	if code == "" {
		return "", p.unacceptable("no code")
	}
	return code, nil
}

// unacceptable returns the error of an answer that no provider of the kind gives.
func (p *party) unacceptable(why string) error {
	return fmt.Errorf("providers: %s: %s: %w", p.name, why, ErrAnswer)
}

// flaw returns what is wrong with an answer, whatever it is the answer to; "" if nothing is.
func flaw(answer url.Values) string {
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

// mismatch returns why the answer may be of another issuer; "" if it is not.
//
// "clients MUST then compare the result to the issuer identifier of the authorization server where the
// authorization request was sent to. […] If the value does not match […] clients MUST reject the
// authorization response and MUST NOT proceed with the authorization grant. For error responses, clients
// MUST NOT assume that the error originates from the intended authorization server." RFC 9207, section 2.4.
func (e expectation) mismatch(answer url.Values) string {
	switch {
	case e.issuer == "":
		return ""
	case !answer.Has("iss") && e.required:
		return "no iss"
	case answer.Has("iss") && answer.Get("iss") != e.issuer:
		return "wrong iss"
	}
	return ""
}

// denial returns the [*Error] that an answer to f is.
func (p *party) denial(answer url.Values, f *Flow) error {
	if answer.Has("code") {
		return p.unacceptable("code and error")
	}
	if answer.Get("error") == "" {
		return p.unacceptable("empty error")
	}
	return hushed(&Error{
		Provider:    p.name,
		Endpoint:    "authorization",
		Code:        grammar.Clean(answer.Get("error"), 64),
		Description: grammar.Clean(answer.Get("error_description"), 512),
		URI:         grammar.Clean(answer.Get("error_uri"), 512),
	}, f.State, f.Nonce, f.Verifier)
}
