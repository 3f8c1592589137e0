package env

import (
	"context"

	"github.com/returnleg/returnleg/sessionstore"
)

// Erase deletes records, and tries once more if the store failed.
func (a *Env) Erase(ctx context.Context, ks ...sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := a.Store.Delete(ctx, ks...)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return a.Store.Delete(ctx, ks...)
}

// EraseAll is erase for many.
func (a *Env) EraseAll(ctx context.Context, ks []sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := sessionstore.DeleteAll(ctx, a.Store, ks)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return sessionstore.DeleteAll(ctx, a.Store, ks)
}
