package middleware

import (
	"context"

	"github.com/returnleg/returnleg/providers"
)

// A TokenChange is what [Config].OnToken is told.
type TokenChange struct {
	Account         *Account // who is signed in, as of the sign-in
	Provider, Label string
	Token           *providers.Token // the new one; nil: the provider has ended the connection
}

// Token returns a token of whoever is signed in that is good now: provider "" is the one of the
// sign-in, and a label is chosen by [WithConnection]. One that has ended is renewed first, by one
// of all who ask for it, in whichever process; one that is about to end is renewed while it is
// still used. To call the provider's API, [Client] is shorter and sends the token nowhere else.
//
// Nobody signed in is [ErrSignedOut], another provider [ErrNotConnected], a token that cannot be
// renewed [ErrReauthRequired]; the last two come in a [*StepUpError]. A provider that does not
// answer is [providers.ErrUnavailable], and only once the token that is there has ended.
func Token(ctx context.Context, provider string) (*providers.Token, error) {
	return tokenOf(ctx, provider, false)
}

// Refresh is [Token], but renews the token although it has not ended: because somebody else says that
// it has, say. A token that was renewed so within the last half minute is not renewed again.
func Refresh(ctx context.Context, provider string) (*providers.Token, error) {
	return tokenOf(ctx, provider, true)
}

func tokenOf(ctx context.Context, provider string, force bool) (*providers.Token, error) {
	q, err := from(ctx)
	if err != nil {
		return nil, err
	}
	t, err := q.auth.connections.Token(ctx, &q.Request, provider, labelOf(ctx), force)
	return t, outward(err)
}
