package env

import (
	"context"

	"github.com/returnleg/returnleg/sessionstore"
)

// Erase deletes records, and tries once more if the store failed.
func (e *Env) Erase(ctx context.Context, ks ...sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := e.Store.Delete(ctx, ks...)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return e.Store.Delete(ctx, ks...)
}

// EraseAll is [Env.Erase] for many records, which need not be deleted at one moment.
func (e *Env) EraseAll(ctx context.Context, ks []sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := sessionstore.DeleteAll(ctx, e.Store, ks)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return sessionstore.DeleteAll(ctx, e.Store, ks)
}
