// Package judge says what the answers of a provider are: a refusal, tokens, or an answer of no honest provider.
//
// It promises that each judgment depends on the answer and the Rules of the provider, and on nothing else; that it is a
// value, and the caller decides about it; and that the words of a provider are cleaned and cut. It sends nothing and keeps
// nothing. What an ID token proves is left to package idtoken, and what was asked for in a sign-in to package providers.
package judge

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/call"
)

// Rules are how one provider's answers differ from the standards. They are data: no judgment knows a provider's name.
type Rules struct {
	Provider    string   // its name, for refusals
	TokenForm   bool     // a token answer may be form-encoded
	CommaScopes bool     // scopes in a token answer are separated by commas
	Spent       []string // error codes that mean invalid_grant, at any status
}

// Members returns the members of an answer in one of the formats that this provider answers in.
func (rules *Rules) Members(r *call.Reply) (strictjson.Object, error) {
	if r.JSON() {
		return strictjson.Parse(string(r.Body))
	}
	if !rules.TokenForm || !r.Form() {
		return nil, fmt.Errorf("content type is not JSON")
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, fmt.Errorf("not a form")
	}
	o := make(strictjson.Object, len(form))
	for name, values := range form {
		if len(values) != 1 {
			return nil, strictjson.ErrDuplicate
		}
		b, err := json.Marshal(values[0])
		if err != nil {
			return nil, err
		}
		o[name] = string(b)
	}
	return o, nil
}
