// Package echoauth gives package middleware the form of echo (v5): a gate is an echo.MiddlewareFunc, a handler asks with its
// *echo.Context, and returns the error that it met.
//
// auth.Handler wraps the *echo.Echo and is served by an http.Server; e.Start would leave the middleware out.
package echoauth

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/returnleg/returnleg/middleware"
)

// Require protects the handlers of a route or of a group: see [middleware.Auth.Require]. It panics if n names a provider that
// is not configured.
func Require(auth *middleware.Auth, n middleware.Need) echo.MiddlewareFunc {
	gate := auth.Require(n)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			passed := false
			gate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(c.Response(), c.Request())
			if !passed {
				return nil // the gate has answered
			}
			return next(c)
		}
	}
}

// User returns the account that is signed in: see [middleware.User].
func User(c *echo.Context) (*middleware.Account, error) {
	return middleware.User(c.Request().Context())
}

// Answer answers a request whose handler met err, and returns nil: see [middleware.Answer]. With [ErrorHandler] a handler
// returns err instead.
func Answer(c *echo.Context, err error) error {
	middleware.Answer(c.Response(), c.Request(), err)
	return nil
}

// ErrorHandler returns an error handler that gives the errors which have a status for echo, such as an *echo.HTTPError, to
// next, and all others to [Answer]. So a handler returns what [User] or a client of [middleware.Client] gave it.
//
//	e.HTTPErrorHandler = echoauth.ErrorHandler(e.HTTPErrorHandler)
//
// An error that comes when the answer has begun goes to next as well, which leaves the answer as it is.
func ErrorHandler(next echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(c *echo.Context, err error) {
		var known echo.HTTPStatusCoder
		begun, _ := echo.UnwrapResponse(c.Response())
		if errors.As(err, &known) || begun != nil && begun.Committed {
			next(c, err)
			return
		}
		_ = Answer(c, err)
	}
}
