package idtoken

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/returnleg/returnleg/providers/internal/call"
	"github.com/returnleg/returnleg/providers/internal/discovery"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

// Keys are the keys of one issuer, and the algorithms that are accepted from it.
type Keys struct {
	Call       *call.Client
	URL        string // of the key set
	Algorithms []string
	Copy       *discovery.Document[*KeySet]
}

// fetch reads the key set of the provider.
func (k *Keys) fetch(ctx context.Context) (*KeySet, error) {
	r, err := k.Call.Published(ctx, "keys", k.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	if r.Status != 200 || !r.JSON() {
		return nil, r.Explain(fmt.Errorf("providers: %s: keys: %w: status %d or not JSON", k.Call.Name, fault.ErrUnavailable, r.Status))
	}
	set, err := readKeys(r.Body)
	if err != nil {
		return nil, fmt.Errorf("providers: %s: keys: %w: %w", k.Call.Name, fault.ErrUnavailable, err)
	}
	return set, nil
}

var errSignature = fmt.Errorf("signature: %w", fault.ErrToken)

// verify returns a token that one of the provider's keys has signed.
func (k *Keys) verify(ctx context.Context, jwt string) (*jws, error) {
	token, err := parseJWS(jwt)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(k.Algorithms, token.alg) {
		return nil, fault.Explain(fault.Reject("alg"), "the ID token is signed with %s, accepted are %s", fault.Quoted(token.alg), strings.Join(k.Algorithms, ", "))
	}
	set, err := k.Copy.Load(ctx, k.fetch)
	if err != nil {
		return nil, err
	}
	// The key that signed it may have come since the copy was made, under a name of its own, without one, or under
	// that of another: not every provider that changes a key changes its id. It is asked once a minute, so that bad
	// signatures cost no more. Twice, because a fetch that was under way already may have been too early.
	for range 2 {
		if set.signed(ctx, token) {
			return token, nil
		}
		next, ok, err := k.Copy.Again(ctx, k.fetch)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, k.unsigned(set, token)
		}
		set = next
	}
	if set.signed(ctx, token) {
		return token, nil
	}
	return nil, k.unsigned(set, token)
}

// unsigned says that none of the keys has signed token.
func (k *Keys) unsigned(set *KeySet, token *jws) error {
	known := slices.ContainsFunc(set.keys, func(key jose.JSONWebKey) bool { return key.KeyID == token.kid })
	if token.kid != "" && !known {
		return fault.Explain(errSignature, "the ID token names the key %s, which %s does not have", fault.Quoted(token.kid), fault.Bare(k.URL))
	}
	return fault.Explain(errSignature, "none of the %d keys at %s has signed the ID token, by %s", len(set.keys), fault.Bare(k.URL), fault.Quoted(token.alg))
}
