package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"
)

// SCS is what [FromSCS] needs of a store. Every store written for scs (github.com/alexedwards/scs)
// has it; the interface stands here so that this package does not import that one. Find reports
// false without an error for a token that is not there, Commit writes over what is there, and
// Delete of a token that is not there is no error.
type SCS interface {
	Find(token string) (b []byte, found bool, err error)
	Commit(token string, b []byte, expiry time.Time) error
	Delete(token string) error
}

// scsCtx is scs.CtxStore: a store whose methods take a context.
type scsCtx interface {
	FindCtx(ctx context.Context, token string) (b []byte, found bool, err error)
	CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error
	DeleteCtx(ctx context.Context, token string) error
}

// An SCSStore is a [Store] on top of a store written for scs. See [FromSCS].
type SCSStore struct {
	// Unread, if it is not nil, is called for each value that is found and is no record; the error tells nothing
	// of what is in it. Set it before the store is used. It may be called by several goroutines at once.
	Unread func(k Key, err error)

	store   scsCtx
	seed    maphash.Seed
	stripes [scsStripes]chan struct{} // each a lock that a context can stop waiting for
}

var (
	_ Store         = (*SCSStore)(nil)
	_ Pinger        = (*SCSStore)(nil)
	_ SingleProcess = (*SCSStore)(nil)
)

const (
	scsStripes = 256

	// scsTimeout is how long an operation may take with a store that knows contexts, and how long
	// its wait for the record with any other; and once more for a change that has begun to write,
	// whatever becomes of its caller.
	scsTimeout = 5 * time.Second

	// lastLayout is the last first byte of a record that a later version may write.
	lastLayout = 15

	// scsUnread is how long a record that cannot be read lasts as far as anybody is told: only s knows.
	scsUnread = time.Hour
)

// FromSCS keeps each record as one value of s, under the token "kind:id". It uses the methods of
// scs.CtxStore if s has all three.
//
// Within one process it is a full [Store]. Between processes it is not, whatever s keeps its values
// in: s reads and writes whole values and asks nothing before it writes. Of two changes to one
// record at one moment one is lost, a condition may hold for both, and a record that was deleted
// may come back: a lost sign-in, a one-time value taken twice, a session that outlives its logout.
// [SCSStore.SingleProcess] says so to whoever builds on it, for a warning at start-up. With more
// than one process, use redisstore, sqlstore or another store that passes storetest from each.
//
// The same holds for two SCSStores of one s: make one, and share it. Records end by this process's
// clock or by the store's, whichever comes first. If s has the methods of scs.CtxStore, a Load has five
// seconds, an Update ten, and a Delete five for each key; or else s must see to it itself that it
// returns in time.
//
// A value that is no record, because it was cut off, or another program keeps its own under the same tokens, is a
// record without fields: an error would be there for as long as the value. Nothing is created in its place
// ([ErrExists]) and no condition on what was in it holds; any other change replaces it. One that a later version
// of this package wrote is not replaced, only ended or deleted: such a change is [ErrMisconfigured].
//
// What s keeps must fit: tokens of 81 bytes, compared byte by byte; ends in a hundred years; and values
// as large as a record, all fields together. scs's own stores for MySQL and SQL Server, with the tables
// that they suggest, take tokens of 43 characters; MySQL's takes ends until 2038 and values of 64 KB.
// Make the columns wider.
func FromSCS(s SCS) *SCSStore {
	f := &SCSStore{seed: maphash.MakeSeed()}
	for i := range f.stripes {
		f.stripes[i] = make(chan struct{}, 1)
	}
	f.store = withoutCtx{s}
	if c, ok := s.(scsCtx); ok {
		f.store = c
	}
	return f
}

// SingleProcess implements [SingleProcess]: it returns true.
func (s *SCSStore) SingleProcess() bool { return true }

// Load implements [Store].
func (s *SCSStore) Load(ctx context.Context, k Key) (Record, error) {
	if err := ready(ctx, k); err != nil {
		return Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, scsTimeout)
	defer cancel()
	r, _, err := s.find(ctx, k)
	return r, err
}

// Update implements [Store]. Once it has begun to write it is not canceled, for at most five
// seconds: a value that a store writes after its caller has given up could undo a deletion.
func (s *SCSStore) Update(ctx context.Context, k Key, c Change) error {
	if err := valid(k, &c); err != nil {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, scsTimeout)
	defer cancel()
	unlock, err := s.lock(reading, k)
	if err != nil {
		return err
	}
	defer unlock()
	before, later, err := s.find(reading, k)
	if err != nil && err != ErrNotFound {
		return err
	}
	if err := c.Mode.judge(err == nil); err != nil {
		return err
	}
	after, err := before.Apply(c)
	if err != nil {
		return err
	}
	if len(c.Set)+len(c.Delete) == 0 && c.Expires.IsZero() {
		return nil
	}
	if later && !ended(after) {
		return fmt.Errorf("sessionstore: scs: update: %w: a later version wrote this value", ErrMisconfigured)
	}
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), scsTimeout)
	defer end()
	// Stores differ in what they make of an end that has passed.
	if ended(after) {
		err = s.store.DeleteCtx(ctx, scsToken(k))
	} else {
		err = s.store.CommitCtx(ctx, scsToken(k), []byte(after.Pack()), scsExpiry(after))
	}
	if err != nil {
		return scsFailed("update", err)
	}
	return nil
}

// Delete implements [Store].
func (s *SCSStore) Delete(ctx context.Context, ks ...Key) error {
	if err := validKeys(ks); err != nil {
		return err
	}
	for _, k := range ks {
		if err := s.delete(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *SCSStore) delete(ctx context.Context, k Key) error {
	ctx, cancel := context.WithTimeout(ctx, scsTimeout)
	defer cancel()
	unlock, err := s.lock(ctx, k)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.store.DeleteCtx(ctx, scsToken(k)); err != nil {
		return scsFailed("delete", err)
	}
	return nil
}

// Ping implements [Pinger]: it looks for a value that no record has.
func (s *SCSStore) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scsTimeout)
	defer cancel()
	if _, _, err := s.store.FindCtx(ctx, "ping:"); err != nil {
		return fmt.Errorf("sessionstore: scs: ping: %w", err)
	}
	return nil
}

// scsFailed returns what a store has failed with. Nobody knows more: a change may have been made or not.
func scsFailed(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("sessionstore: scs: %s: %w", what, err)
	}
	return fmt.Errorf("sessionstore: scs: %s: %w: %w", what, ErrUnavailable, err)
}

// find returns the record of k as it is, or [ErrNotFound] itself. One that cannot be read has no fields; later
// says that it is a later version's.
func (s *SCSStore) find(ctx context.Context, k Key) (r Record, later bool, err error) {
	b, found, err := s.store.FindCtx(ctx, scsToken(k))
	if err != nil {
		return Record{}, false, scsFailed("find", err)
	}
	if !found {
		return Record{}, false, ErrNotFound
	}
	r, err = Unpack(string(b))
	if err != nil {
		if s.Unread != nil {
			s.Unread(k, err)
		}
		return NewRecord(time.Now().Add(scsUnread)), ofLater(b), nil
	}
	if ended(r) {
		return Record{}, false, ErrNotFound
	}
	return r, false, nil
}

// ofLater reports that b, which this version cannot read, says that a later one wrote it.
func ofLater(b []byte) bool { return len(b) > 0 && layout < b[0] && b[0] <= lastLayout }

// lock waits for the stripe of k, and returns what gives it back.
func (s *SCSStore) lock(ctx context.Context, k Key) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stripe := s.stripes[maphash.String(s.seed, k.ID)%scsStripes]
	select {
	case stripe <- struct{}{}:
		return func() { <-stripe }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scsToken returns the token of k. scs itself makes tokens without a colon, so that an app may keep
// its own sessions in the same store.
func scsToken(k Key) string { return k.Kind + ":" + k.ID }

// scsExpiry returns when a store for scs may forget r. Many count nanoseconds, which end in 2262 and
// then begin anew in 1677; r itself says when it ends.
func scsExpiry(r Record) time.Time {
	if last := time.Unix(0, math.MaxInt64); r.Expires.After(last) {
		return last
	}
	return r.Expires
}

// ended reports whether r has expired, by this process's clock.
func ended(r Record) bool { return r.Expires.UnixMilli() <= time.Now().UnixMilli() }

// withoutCtx lends a context's methods to a store that has none.
type withoutCtx struct{ store SCS }

func (w withoutCtx) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	return w.store.Find(token)
}

func (w withoutCtx) CommitCtx(_ context.Context, token string, b []byte, expiry time.Time) error {
	return w.store.Commit(token, b, expiry)
}

func (w withoutCtx) DeleteCtx(_ context.Context, token string) error { return w.store.Delete(token) }
