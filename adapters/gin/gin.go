// Package ginauth gives package middleware the form of gin: a gate is a gin.HandlerFunc, and a handler asks with its
// *gin.Context.
//
// [Handler] wraps the engine and is served by an http.Server; engine.Run would leave the middleware out. The functions
// of package middleware take c.Request.Context(), not c: a *gin.Context does not have the values of its request,
// unless ContextWithFallback of the engine is set.
package ginauth

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/returnleg/returnleg/middleware"
)

// Handler wraps an engine with auth. It is auth.Handler, and gives c.Stream the http.CloseNotifier that it needs and that
// auth.Handler alone does not have.
func Handler(auth *middleware.Auth, engine *gin.Engine) http.Handler {
	return auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		engine.ServeHTTP(&writer{w.(response), r.Context()}, r)
	}))
}

// Require protects the handlers that follow, of a route or of a group: see [middleware.Auth.Require]. It panics if n names
// a provider that is not configured.
func Require(auth *middleware.Auth, n middleware.Need) gin.HandlerFunc {
	gate := auth.Require(n)
	return func(c *gin.Context) {
		passed := false
		gate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort() // the gate has answered
		}
	}
}

// User returns the account that is signed in: see [middleware.User].
func User(c *gin.Context) (*middleware.Account, error) { return middleware.User(c.Request.Context()) }

// Answer answers a request whose handler met err, and aborts the handlers that follow: see [middleware.Answer].
func Answer(c *gin.Context, err error) {
	c.Abort()
	middleware.Answer(c.Writer, c.Request, err)
}

// response is what the writer of auth.Handler can do.
type response interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
}

// writer is the writer of auth.Handler with a CloseNotify, which gin's writer takes for granted.
type writer struct {
	response
	ctx context.Context
}

// Unwrap serves http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.response }

// WriteString avoids a copy, as the writer of auth.Handler does.
func (w *writer) WriteString(s string) (int, error) {
	return w.response.(interface{ WriteString(string) (int, error) }).WriteString(s)
}

// CloseNotify returns a channel that receives a value when the request has ended, by its client or by its handler.
func (w *writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}
