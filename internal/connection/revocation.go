package connection

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/providers"
	"golang.org/x/oauth2"
)

const revokeTime = 10 * time.Second // for one token

// Revoke asks p, in the background, to revoke a token that is not used any more. It does nothing for a nil token, or if
// p does not revoke. The caller holds one of the background's tasks.
func (a *Connections) Revoke(ctx context.Context, p providers.Provider, t *providers.Token) {
	r, ok := p.(providers.Revoker)
	if !ok || t == nil {
		return
	}
	a.env.Background.Tasks.Add(1) // its caller holds one already
	go func() {
		defer a.env.Background.Tasks.Done()
		defer func() {
			if v := recover(); v != nil { // of a Provider of the app's own: no server recovers it
				a.env.Log.Event(ctx, slog.LevelError, "revocation panicked", reason.Unavailable, slog.String("provider", p.Name()),
					slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
			}
		}()
		ctx, cancel := context.WithTimeout(a.Outgoing(context.WithoutCancel(ctx)), revokeTime)
		defer cancel()
		if err := r.Revoke(ctx, t); err != nil {
			a.env.Log.Event(ctx, slog.LevelWarn, "token not revoked", reason.Unavailable, slog.String("provider", p.Name()), slog.Any("error", err))
		}
	}()
}

// Outgoing returns ctx with the client that providers use.
func (a *Connections) Outgoing(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, a.Client)
}
