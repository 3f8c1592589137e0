package providers

import (
	"cmp"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/returnleg/returnleg/providers/internal/call"
	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/judge"
)

// A party is the app as one provider knows it: what [OAuth2] and [OIDC] have in common.
type party struct {
	*call.Client
	rules       judge.Rules
	authParams  url.Values
	tokenParams url.Values
	mode        string // response_mode
}

// party returns what the registration amounts to. issuer is the host of the issuer whose metadata names the endpoints,
// and "" if they are configured.
func (r *registration) party(issuer string) *party {
	return &party{
		Client: &call.Client{
			Name: r.id, Auth: clientauth.New(string(r.method.or(r.secret)), r.clientID, string(r.secret)),
			Timeout: cmp.Or(r.timeout, call.DefaultTimeout), HTTP: NewClient(), Issuer: issuer,
		},
		rules: judge.Rules{Provider: r.id}, authParams: r.authParams, tokenParams: r.tokenParams, mode: r.mode,
	}
}

// A setup makes the party of a provider when it is first needed, once.
type setup struct {
	once  sync.Once
	party *party
	err   error
}

// ready returns the party that start makes of fields that pass validate.
func (s *setup) ready(validate func() error, start func() (*party, error)) (*party, error) {
	s.once.Do(func() {
		if s.err = validate(); s.err == nil {
			s.party, s.err = start()
		}
	})
	return s.party, s.err
}

// by returns p with another client authentication.
func (p *party) by(method AuthMethod) *party {
	client := *p.Client
	client.Auth = p.Auth.By(string(method))
	other := *p
	other.Client = &client
	return &other
}

// refusal turns an answer that is not a success into an error. What of it repeats one of secrets is left out.
func (p *party) refusal(what string, r *call.Reply, secrets ...string) error {
	if r.Status >= 300 && r.Status < 400 {
		return r.Explain(fmt.Errorf("providers: %s: %s: %w: redirect not followed", p.Name, what, ErrToken))
	}
	return r.Explain(refused(p.rules.Refusal(what, r, time.Now()), secrets))
}

// refused returns a refusal as an error. What of it repeats one of secrets is left out.
func refused(r judge.Refusal, secrets []string) error {
	r.Hush(secrets...)
	return (*Error)(&r)
}
