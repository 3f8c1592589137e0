package session

import (
	"context"
)

// RequestKey is the key under which a request's context has its visit.
type RequestKey struct{}

// FromContext returns the visit that ctx belongs to.
func FromContext(ctx context.Context) (*Request, error) {
	q, ok := ctx.Value(RequestKey{}).(*Request)
	if !ok {
		return nil, ErrNoRequest
	}
	return q, nil
}
