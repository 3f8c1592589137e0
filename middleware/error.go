package middleware

import (
	"errors"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/session"
)

var (
	// ErrNoMiddleware is what functions of a context return when it did not pass
	// [Auth.Handler]. With gin, pass c.Request.Context(), not c.
	ErrNoMiddleware = session.ErrNoRequest

	// ErrSignedOut means that nobody is signed in, or not any more.
	ErrSignedOut = session.ErrSignedOut

	// ErrNotConnected means that the person is signed in, but without the provider asked for.
	ErrNotConnected = connection.ErrNotConnected

	// ErrReauthRequired means that the provider's token has ended and cannot be renewed: the
	// person has to sign in there again. [Auth.Require] with a Need of that provider does so.
	ErrReauthRequired = connection.ErrReauthRequired

	// ErrTokenExpired means that the token has ended and could be renewed, but that the context is
	// one of [WithoutRefresh]. [Refresh] renews it.
	ErrTokenExpired = connection.ErrTokenExpired

	// ErrStepUp means that an API wants the person to allow more, or to prove better who they are.
	// A [*StepUpError] says what.
	ErrStepUp = connection.ErrStepUp

	// ErrOrigin means that a request was not sent, because its origin is not one that the
	// provider declares for its API.
	ErrOrigin = connection.ErrOrigin

	// ErrReturnTo means that an address to return to leaves the site, is one of the kit's own, or is no
	// address: see [LoginURL].
	ErrReturnTo = errors.New("middleware: not an address of this site to return to")

	// ErrOuterSession means that LoadAndSave of the manager in [Config].Sessions runs around
	// Handler. Remove it.
	ErrOuterSession = errors.New("middleware: LoadAndSave of the same manager runs around Handler")

	// ErrNoPage means that no page state belongs to this request, or not any more.
	ErrNoPage = errors.New("middleware: no page state")

	// ErrPageTooLarge means that a page state has more than 16 KB as JSON.
	ErrPageTooLarge = session.ErrPageTooLarge

	// ErrNotSaved is what a write to the response returns after the session could not be saved:
	// the handler's answer was replaced by an error page. [Save] wraps it when the session
	// cannot be changed any more by this request.
	ErrNotSaved = session.ErrNotSaved

	// ErrUnsupported is what functions of an scs manager return that have no meaning here.
	ErrUnsupported = session.ErrUnsupported
)
