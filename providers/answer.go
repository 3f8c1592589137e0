package providers

import (
	"crypto/subtle"
	"fmt"
	"net/url"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/judge"
)

// check judges the answer to f, which has a nonce if nonce is set, and returns its code.
func (p *party) check(f *Flow, answer url.Values, nonce bool, want judge.Expectation) (code string, err error) {
	// A value that got lost on the way here must not turn its check into one that passes.
	if err := f.sound(nonce); err != nil {
		return "", fmt.Errorf("providers: %s: flow: %w", p.Name, err)
	}
	if why := judge.Flaw(answer); why != "" {
		return "", p.unacceptable(why)
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(f.State)) != 1 {
		return "", p.unacceptable("wrong state")
	}
	// Before anything that the answer says is believed, its error included.
	if why := want.Mismatch(answer); why != "" {
		if !answer.Has("iss") {
			return "", fault.Explain(p.unacceptable(why), "the answer has no iss, and Issuer, which demands it, is %s: a provider that sends none has a Namespace instead", fault.Quoted(want.Issuer))
		}
		return "", fault.Explain(p.unacceptable(why), "the answer's iss is %s, Issuer is %s", fault.Quoted(answer.Get("iss")), fault.Quoted(want.Issuer))
	}
	if answer.Has("error") {
		denial, why := p.rules.Denial(answer)
		if why != "" {
			return "", p.unacceptable(why)
		}
		return "", refused(denial, []string{f.State, f.Nonce, f.Verifier})
	}
	code = answer.Get("code")
	if code == "" {
		return "", p.unacceptable("no code")
	}
	return code, nil
}

// unacceptable returns the error of an answer that no provider of the kind gives.
func (p *party) unacceptable(why string) error {
	return fmt.Errorf("providers: %s: %s: %w", p.Name, why, ErrAnswer)
}
