package sessionstore

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/internal/aead"
)

// A SealedStore is a [Store] whose values are encrypted before another store sees them. See
// [Sealed].
type SealedStore struct {
	// Unopened, if not nil, is told of each value that was asked for and did not open: somebody
	// changed the store, or the key that sealed it left the ring. err says which of the two.
	// The arguments hold no secret. Set it before the first use; it is called by the goroutine
	// that asked, so it should be quick, and by many of them at once.
	Unopened func(k Key, field string, err error)

	store Store
	keys  []sealer
}

// A sealer is one key of a ring.
type sealer struct {
	id     byte
	secret aead.Secret
}

// box returns what seals and opens the values of one record.
func (s *sealer) box(k Key) aead.Box { return aead.NewBox(s.secret.Derive("record", k.Kind, k.ID)) }

var (
	_ Store         = (*SealedStore)(nil)
	_ Pinger        = (*SealedStore)(nil)
	_ SingleProcess = (*SealedStore)(nil)
)

// Reasons that [SealedStore.Unopened] is given.
var (
	ErrUnknownKey = errors.New("sessionstore: sealed by a key that is not in the ring")
	ErrForged     = errors.New("sessionstore: value does not belong to this field of this record")
)

// Sealed returns s with every value sealed by AES-256-GCM. Each record has a key of its own,
// derived from a ring key, kind and id; kind, id, name and version are bound as well, so that a
// value that was moved, cut or given another version does not open. A value that does not open
// is not there: [Record.Field] and [Record.All] leave it out. Values are opened when they are
// asked for. Each takes 29 bytes more.
//
// Names, versions, lengths, keys and ends of records are not hidden. Putting back a whole record
// as it was at an earlier time is not noticed.
//
// Sealed panics if keys are not valid. [NewKeyring] and [ParseKeyring] return valid ones; for any
// other ring, ask [Keyring.Validate] first.
func Sealed(s Store, keys Keyring) *SealedStore {
	if err := keys.Validate(); err != nil {
		panic(err)
	}
	sealers := make([]sealer, len(keys))
	for i, k := range keys {
		sealers[i] = sealer{k.ID, aead.NewSecret(k.Secret)}
	}
	return &SealedStore{store: s, keys: sealers}
}

// Load implements [Store].
func (s *SealedStore) Load(ctx context.Context, k Key) (Record, error) {
	r, err := s.store.Load(ctx, k)
	if err != nil {
		return Record{}, err
	}
	return s.opening(k, r), nil
}

// opening returns r, which is stored sealed, as one that opens what it is asked for.
func (s *SealedStore) opening(k Key, r Record) Record {
	if r.opener != nil { // sealed twice: take the other layer off first
		r = r.opened()
	}
	r.opener = &opener{store: s, key: k}
	return r
}

// Update implements [Store].
func (s *SealedStore) Update(ctx context.Context, k Key, c Change) error {
	return s.store.Update(ctx, k, s.sealed(k, c))
}

// sealed returns c with its values sealed.
func (s *SealedStore) sealed(k Key, c Change) Change {
	if len(c.Set) == 0 {
		return c
	}
	first := &s.keys[0]
	box := first.box(k)
	set := make([]Field, len(c.Set))
	for i, f := range c.Set {
		set[i] = f
		set[i].Value = seal(box, first.id, k, f)
	}
	c.Set = set
	return c
}

// LoadAll implements [BatchLoader]: by that of the store beneath, if it is one.
func (s *SealedStore) LoadAll(ctx context.Context, ks []Key) ([]Record, error) {
	rs, err := LoadAll(ctx, s.store, ks)
	if err != nil {
		return nil, err
	}
	for i := range rs {
		if !rs[i].Expires.IsZero() {
			rs[i] = s.opening(ks[i], rs[i])
		}
	}
	return rs, nil
}

// UpdateAll implements [BatchUpdater]: by that of the store beneath, if it is one.
func (s *SealedStore) UpdateAll(ctx context.Context, us []KeyedChange) []error {
	sealed := make([]KeyedChange, len(us))
	for i, u := range us {
		sealed[i] = KeyedChange{u.Key, s.sealed(u.Key, u.Change)}
	}
	return UpdateAll(ctx, s.store, sealed)
}

// Delete implements [Store].
func (s *SealedStore) Delete(ctx context.Context, ks ...Key) error {
	return DeleteAll(ctx, s.store, ks)
}

// Ping implements [Pinger]: it asks the store beneath, or does nothing if that is no Pinger.
func (s *SealedStore) Ping(ctx context.Context) error {
	p, ok := s.store.(Pinger)
	if !ok {
		return ctx.Err()
	}
	return p.Ping(ctx)
}

// SingleProcess implements [SingleProcess]: it asks the store beneath.
func (s *SealedStore) SingleProcess() bool {
	p, ok := s.store.(SingleProcess)
	return ok && p.SingleProcess()
}
