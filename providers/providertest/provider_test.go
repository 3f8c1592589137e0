package providertest_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// The constructors return what signs in here, without further settings.
func TestConstructors(t *testing.T) {
	s := providertest.New(providertest.Config{})
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.Client())
	for _, row := range []struct {
		provider providers.Provider
		subject  string
	}{
		{s.OIDC("practice"), "practice-ada"},
		{s.OAuth2("practice"), "ada"},
	} {
		flow := &providers.Flow{
			RedirectURL: callback, State: "state-1", Verifier: strings.Repeat("v", 43), Nonce: "nonce-1",
		}
		authURL, err := row.provider.Begin(ctx, flow)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.Approve(ctx, nil, authURL, "ada")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		if err := row.provider.Check(ctx, flow, u.Query()); err != nil {
			t.Fatalf("%T: %v", row.provider, err)
		}
		tok, who, err := row.provider.Finish(ctx, flow, u.Query())
		if err != nil {
			t.Fatalf("%T: %v", row.provider, err)
		}
		if who.Subject != row.subject || who.Issuer != s.Issuer() || who.Name != "Ada Lovelace" || tok.Access == "" {
			t.Errorf("%T: got %+v", row.provider, who)
		}
	}
}

// The project's own providers do right in every case.
func TestProvidersInCases(t *testing.T) {
	oidc := func(s *providertest.Server, c providertest.Case) providers.Provider {
		p := s.OIDC("practice")
		p.UserInfo = c.UserInfo
		return p
	}
	plain := func(s *providertest.Server, _ providertest.Case) providers.Provider { return s.OAuth2("practice") }
	for _, c := range slices.Concat(providertest.Conformance(), providertest.Attacks(), providertest.Quirks()) {
		t.Run("OIDC/"+c.Name, func(t *testing.T) { inCase(t, c, oidc) })
		if !c.OIDC && !c.UserInfo && strings.HasPrefix(c.Name, c.ID) { // an attack, not a module
			t.Run("OAuth2/"+c.Name, func(t *testing.T) { inCase(t, c, plain) })
		}
	}
}

func inCase(t *testing.T, c providertest.Case, make func(*providertest.Server, providertest.Case) providers.Provider) {
	synctest.Test(t, func(t *testing.T) {
		s := providertest.New(providertest.Config{Algorithm: c.Algorithm, Behavior: c.Behavior})
		p := make(s, c)
		got, err := visit(t, s, p)
		if c.Rotate && got == providertest.SignedIn {
			s.RotateKey()
			got, err = visit(t, s, p)
		}
		if !c.Outcome.Allows(got) {
			t.Errorf("got %v (%v), want %v", got, err, c.Outcome)
		}
		l := s.Ledger()
		if n := l.Count("elsewhere"); n > 0 {
			t.Errorf("%d requests elsewhere", n)
		}
		if len(l.Repeated()) > 0 {
			t.Errorf("a code was sent twice: %+v", l.Codes)
		}
		if c.Outcome == providertest.Unredeemed || c.Outcome == providertest.Declined {
			if n := l.Count("token"); n > 0 {
				t.Errorf("%d token requests", n)
			}
		}
	})
}

// visit signs in and refreshes once. The state is its caller's to compare: a [providers.Provider] does not.
func visit(t *testing.T, s *providertest.Server, p providers.Provider) (providertest.Outcome, error) {
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.Client())
	flow := &providers.Flow{RedirectURL: callback, State: "state-1", Verifier: strings.Repeat("v", 43), Nonce: "nonce-1"}
	authURL, err := p.Begin(ctx, flow)
	if err != nil {
		return providertest.Refused, err
	}
	back, err := s.Approve(ctx, nil, authURL, "ada")
	if err != nil {
		return providertest.Refused, err
	}
	u, err := url.Parse(back)
	if err != nil || u.Query().Get("state") != flow.State {
		return providertest.Unredeemed, err
	}
	if err := p.Check(ctx, flow, u.Query()); err != nil {
		var no *providers.Error
		if errors.As(err, &no) {
			return providertest.Declined, err
		}
		return providertest.Unredeemed, err
	}
	tok, _, err := p.Finish(ctx, flow, u.Query())
	if err != nil {
		return providertest.Refused, err
	}
	_, err = p.Refresh(ctx, tok)
	var no *providers.Error
	switch {
	case err == nil:
		return providertest.SignedIn, nil
	case errors.Is(err, providers.ErrSubject):
		return providertest.RefreshForeign, err
	case errors.As(err, &no) && no.Code != "invalid_grant":
		return providertest.RefreshFailed, err
	}
	return providertest.RefreshRefused, err
}
