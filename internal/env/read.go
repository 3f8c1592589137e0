package env

import (
	"context"

	"github.com/returnleg/returnleg/sessionstore"
)

// Read loads a record, and tries once more if the store failed.
func (e *Env) Read(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	rec, err := e.Store.Load(ctx, k)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return rec, err
	}
	return e.Store.Load(ctx, k)
}

// ReadAll is [Env.Read] for several records.
func (e *Env) ReadAll(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	recs, err := sessionstore.LoadAll(ctx, e.Store, ks)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return recs, err
	}
	return sessionstore.LoadAll(ctx, e.Store, ks)
}
