package sessionstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// A BatchLoader is a [Store] that loads many records in few round trips.
type BatchLoader interface {
	// LoadAll returns the records of ks, in their order, each as a Load would return it at some
	// moment of the call. In the place of one that is not there is the zero Record, which has no
	// Expires. With an error there are none.
	LoadAll(ctx context.Context, ks []Key) ([]Record, error)
}

// A BatchUpdater is a [Store] that changes many records in few round trips.
type BatchUpdater interface {
	// UpdateAll makes changes of different records, each by itself, and returns what Update would
	// for each, in their order: nil for one that was made. Some may be made and others not.
	UpdateAll(ctx context.Context, us []KeyedChange) []error
}

// A KeyedChange is a change of the record of a key.
type KeyedChange struct {
	Key    Key
	Change Change
}

const (
	// batchWorkers is how many operations are under way at once with a store that has no batches.
	batchWorkers = 16

	// fewKeys are asked for one after the other.
	fewKeys = 4
)

// LoadAll loads records by [BatchLoader] if s is one, and else a few at a time.
func LoadAll(ctx context.Context, s Store, ks []Key) ([]Record, error) {
	if len(ks) == 0 {
		return nil, nil
	}
	if b, ok := s.(BatchLoader); ok {
		return b.LoadAll(ctx, ks)
	}
	rs, errs := make([]Record, len(ks)), make([]error, len(ks))
	each(len(ks), func(i int) bool {
		rs[i], errs[i] = s.Load(ctx, ks[i])
		if errors.Is(errs[i], ErrNotFound) {
			rs[i], errs[i] = Record{}, nil
		}
		return errs[i] == nil
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return rs, nil
}

// UpdateAll makes changes by [BatchUpdater] if s is one, and else a few at a time.
func UpdateAll(ctx context.Context, s Store, us []KeyedChange) []error {
	if len(us) == 0 {
		return nil
	}
	if b, ok := s.(BatchUpdater); ok {
		return b.UpdateAll(ctx, us)
	}
	errs := make([]error, len(us))
	each(len(us), func(i int) bool {
		errs[i] = s.Update(ctx, us[i].Key, us[i].Change)
		return true
	})
	return errs
}

// DeleteAll deletes records. A store that has batches is expected to delete them in few round trips;
// others are asked a few at a time.
func DeleteAll(ctx context.Context, s Store, ks []Key) error {
	_, batches := s.(BatchLoader)
	if batches || len(ks) <= fewKeys {
		return s.Delete(ctx, ks...)
	}
	errs := make([]error, len(ks))
	each(len(ks), func(i int) bool {
		errs[i] = s.Delete(ctx, ks[i])
		return errs[i] == nil
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f for 0 … n-1, some at once, until it returns false. What f panics with, the caller does.
func each(n int, f func(i int) bool) {
	if n <= fewKeys {
		for i := range n {
			if !f(i) {
				return
			}
		}
		return
	}
	var next atomic.Int64
	var over atomic.Bool
	var panicked atomic.Pointer[any]
	var workers sync.WaitGroup
	for range min(n, batchWorkers) {
		workers.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					over.Store(true)
					panicked.CompareAndSwap(nil, &v)
				}
			}()
			for !over.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if !f(i) {
					over.Store(true)
				}
			}
		})
	}
	workers.Wait()
	if v := panicked.Load(); v != nil {
		panic(*v)
	}
}
