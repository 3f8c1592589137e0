package session

import (
	"context"
)

// RequestKey is the key under which a context holds the [Request] of an HTTP request.
type RequestKey struct{}

// fromContext returns the [Request] that ctx belongs to. Without one, the error is [ErrNoRequest].
func fromContext(ctx context.Context) (*Request, error) {
	q, ok := ctx.Value(RequestKey{}).(*Request)
	if !ok {
		return nil, ErrNoRequest
	}
	return q, nil
}
