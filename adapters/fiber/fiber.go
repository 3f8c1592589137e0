// Package fiberauth gives package middleware the form of fiber (v3), which is built on fasthttp and not on net/http. [New] is
// the middleware, [Require] a gate, and [User] and [Answer] are for handlers.
//
// Functions of package middleware take c.Context(), not c. The session is saved when the handlers have returned, before the
// answer leaves: a stream that a handler began runs later. It can read what the session had, and save nothing.
package fiberauth

import (
	"net/http"

	"github.com/gofiber/fiber/v3"

	"github.com/returnleg/returnleg/middleware"
)

// New returns the middleware. Use it once, for the whole app, before routes: app.Use(fiberauth.New(auth)). It answers the paths
// below Prefix itself. An error of a handler goes to the app's ErrorHandler here, so that the session is saved with the answer.
func New(auth *middleware.Auth) fiber.Handler {
	return func(c fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return fiber.NewError(fiber.StatusBadRequest)
		}
		x := &exchange{answer: answer{header: http.Header{}}}
		x.take(c)
		auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x.w, x.r = w, r
			fiber.Locals(c, key{}, x)
			c.SetContext(r.Context())
			if err := c.Next(); err != nil && c.App().ErrorHandler(c, err) != nil {
				_ = c.SendStatus(fiber.StatusInternalServerError)
			}
			x.conclude(c)
		})).ServeHTTP(&x.answer, r)
		x.give(c)
		return nil
	}
}

// Require protects the handlers that follow, of a route or of a group: see [middleware.Auth.Require]. It panics if n names a
// provider that is not configured. Without [New] before it, it lets nobody through.
func Require(auth *middleware.Auth, n middleware.Need) fiber.Handler {
	gate := auth.Require(n)
	return func(c fiber.Ctx) error {
		x := fiber.Locals[*exchange](c, key{})
		if x == nil {
			return middleware.ErrNoMiddleware
		}
		passed := false
		x.take(c)
		gate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(x.w, x.r.WithContext(c.Context()))
		if !passed {
			return nil // the gate has answered
		}
		return c.Next()
	}
}

// User returns the account that is signed in: see [middleware.User].
func User(c fiber.Ctx) (*middleware.Account, error) { return middleware.User(c.Context()) }

// Answer answers a request whose handler met err, and returns nil: see [middleware.Answer]. Without [New] before it, it returns
// err.
func Answer(c fiber.Ctx, err error) error {
	x := fiber.Locals[*exchange](c, key{})
	if x == nil {
		return err
	}
	x.take(c)
	middleware.Answer(x.w, x.r.WithContext(c.Context()), err)
	return nil
}

// key is the key of the exchange in c.Locals.
type key struct{}
