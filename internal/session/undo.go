package session

import (
	"context"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// undoTime is as long as a sign-in may take.
const undoTime = 40 * time.Second

// Undo restores in the record of s what c has changed, if c was made and nothing else has changed the same
// since. A session that c has made ends.
func (a *Sessions) Undo(ctx context.Context, s *View, c *sessionstore.Change) {
	back, key := reversal(s, c), s.Key()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	undo := func(ctx context.Context) error { return a.Env.Write(ctx, key, back) }
	if err := undo(ctx); err != nil && !env.Contested(err) {
		a.Env.Retry(ctx, undoTime, "sign-in not taken back", err, undo)
	}
}

// reversal returns the change that undoes c. s is the session before c.
func reversal(s *View, c *sessionstore.Change) sessionstore.Change {
	var back sessionstore.Change
	if c.Mode == sessionstore.MustExist {
		back.If = append(back.If, s.Lineage())
	}
	for _, f := range c.Set {
		if f.Version != 0 {
			back.If = append(back.If, sessionstore.Match{Name: f.Name, Version: f.Version})
		}
	}
	if c.Mode == sessionstore.MustNotExist {
		back.Expires = time.Unix(0, 0)
		return back
	}
	restore := func(name string) {
		if was, ok := s.Record.Field(name); ok {
			back.Set = append(back.Set, was)
			return
		}
		back.Delete = append(back.Delete, name)
	}
	for _, f := range c.Set {
		restore(f.Name)
	}
	for _, name := range c.Delete {
		restore(name)
	}
	return back
}
