package middleware

import (
	"context"
	"errors"
)

// Take removes the session value of key and returns it, in one step: of several requests that take
// one value at one moment, in any process, at most one gets it. Pop of the scs manager cannot
// promise that. A value that is not there is ok false, and so is one that cannot be read: it stays, because
// another version of the app may be able to. A value that this request has put itself and
// not saved yet is taken as it is. Where the cookie of the request has been replaced, or the path is free of
// sessions, the error wraps [ErrNotSaved].
func Take(ctx context.Context, key string) (v any, ok bool, err error) {
	q, err := from(ctx)
	if err != nil {
		return nil, false, err
	}
	v, ok, err = q.Take(key)
	if errors.Is(err, ErrNotSaved) {
		return nil, false, err
	}
	return v, ok, broken(err)
}
