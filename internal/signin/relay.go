package signin

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
)

// AnswerParam is the query parameter of a callback that has a provider's answer in it, sealed.
const AnswerParam = "answer"

const (
	relayLife = time.Minute
	maxRelay  = 4 << 10 // bytes of what is sealed
)

// answerParams are the parameters that a provider's answer may have. Others that were posted are left out.
// RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207; OpenID Connect Session Management 1.0.
var answerParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri", "session_state",
	// Not taken as credentials, but for Check to refuse.
	"access_token", "id_token", "token_type", "response",
}

// A Relayed is a provider's answer on its way through a URL of ours: one that the browser has posted, or one that was
// refused by a page which loads itself again.
type Relayed struct {
	Provider string
	Posted   bool
	Answer   url.Values

	// Of the page: its reason, the user that saw it, and the causes that it may name.
	Reason string
	Whose  string
	Causes []string
}

// RelayPosted seals an answer that the browser has posted, without the parameters that no answer has. It is good for a
// minute.
func (a *SignIns) RelayPosted(provider string, form url.Values) (sealed string, err error) {
	b := packed.AppendTime([]byte("a"), a.env.Clock().Add(relayLife))
	b = packed.AppendString(b, provider)
	for _, key := range answerParams {
		for _, v := range form[key] {
			b = packed.AppendString(packed.AppendString(b, key), v)
		}
	}
	if len(b) > maxRelay {
		return "", reason.New(reason.Parameter, errors.New("middleware: callback: form too long"))
	}
	if sealed, err = a.sealRelay(b); err != nil {
		return "", reason.New(reason.Random, err)
	}
	return sealed, nil
}

// RelayPage seals an answer for the page that refuses it, without the causes that do not fit. fits is false if the
// answer itself does not.
func (a *SignIns) RelayPage(r Relayed) (sealed string, fits bool) {
	b := packed.AppendTime([]byte("r"), a.env.Clock().Add(flowLife+redemptionRest))
	b = packed.AppendString(packed.AppendString(b, r.Provider), r.Reason)
	b = packed.AppendString(b, r.Whose)
	var answer []byte
	for _, key := range slices.Sorted(maps.Keys(r.Answer)) {
		for _, value := range r.Answer[key] {
			answer = packed.AppendString(packed.AppendString(answer, key), value)
		}
	}
	causes := r.Causes
	for len(causes) > 0 && len(answer)+len(packed.AppendStrings(b, causes)) > maxRelay {
		causes = causes[:len(causes)-1]
	}
	b = append(packed.AppendStrings(b, causes), answer...)
	if len(b) > maxRelay {
		return "", false
	}
	sealed, err := a.sealRelay(b)
	return sealed, err == nil
}

// OpenRelayed returns what [SignIns.RelayPosted] or [SignIns.RelayPage] has sealed for the callback of that provider. An
// answer that has expired or is malformed comes with an error.
func (a *SignIns) OpenRelayed(sealed, provider string) (*Relayed, error) {
	plain, ok := a.openRelay(sealed)
	if !ok || plain == "" || plain[0] != 'a' && plain[0] != 'r' {
		return nil, reason.New(reason.State, nil)
	}
	p := packed.Read(plain[1:])
	until := p.Time()
	if p.String() != provider {
		return nil, reason.New(reason.ProviderPath, nil)
	}
	r := &Relayed{Provider: provider, Posted: plain[0] == 'a', Answer: url.Values{}}
	if !r.Posted {
		r.Reason, r.Whose, r.Causes = p.String(), p.String(), p.Strings()
	}
	if !a.env.Clock().Before(until) {
		return r, reason.New(reason.Expired, nil)
	}
	for p.More() {
		key := p.String()
		r.Answer[key] = append(r.Answer[key], p.String())
	}
	if p.Err() != nil {
		return r, reason.New(reason.State, nil)
	}
	if len(r.Answer["state"]) > 1 || r.Posted && slices.Contains(r.Answer["state"], "") {
		return r, reason.New(reason.Parameter, errors.New("middleware: callback: state twice or empty"))
	}
	return r, nil
}
