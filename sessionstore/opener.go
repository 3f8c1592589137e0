package sessionstore

import (
	"fmt"
	"strings"
	"sync"

	"github.com/returnleg/returnleg/internal/aead"
	"github.com/returnleg/returnleg/internal/packed"
)

// An opener opens the values of one record that was loaded. A record is often asked for several
// values, all under one key: that one is derived once.
type opener struct {
	store *SealedStore
	key   Key

	mu   sync.Mutex
	id   byte
	box  aead.Box
	made bool // box is there, of the ring key of that id
}

// open returns the plaintext of f's value.
func (o *opener) open(f Field) (v string, ok bool) {
	o.with(f, func(plain []byte) { v, ok = string(plain), true })
	return v, ok
}

// openTo is open, with the plaintext in b: many values together take one allocation.
func (o *opener) openTo(b *strings.Builder, f Field) (v string, ok bool) {
	o.with(f, func(plain []byte) {
		n := b.Len()
		b.Write(plain)
		v, ok = b.String()[n:], true
	})
	return v, ok
}

// holds reports whether the plaintext of f's value is value.
func (o *opener) holds(f Field, value string) bool {
	d := desks.Get().(*desk)
	defer d.back()
	plain, err := o.tryOpen(d, f)
	return err == nil && string(plain) == value
}

// with calls use with the plaintext of f's value, which is gone when use returns.
func (o *opener) with(f Field, use func(plain []byte)) {
	d := desks.Get().(*desk)
	defer d.back()
	plain, err := o.tryOpen(d, f)
	if err == nil {
		use(plain)
		return
	}
	if o.store.Unopened != nil {
		o.store.Unopened(o.key, f.Name, err)
	}
}

func (o *opener) tryOpen(d *desk, f Field) ([]byte, error) {
	if f.Value == "" {
		return nil, ErrForged
	}
	box, err := o.boxOf(f.Value[0])
	if err != nil {
		return nil, err
	}
	d.aad = appendBound(d.aad[:0], o.key, f)
	d.sealed = append(d.sealed[:0], f.Value[1:]...)
	d.plain, err = box.Open(d.plain[:0], d.sealed, d.aad)
	if err != nil {
		return nil, ErrForged
	}
	return d.plain, nil
}

// boxOf returns the box of this record under the ring key of that id.
func (o *opener) boxOf(id byte) (aead.Box, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.made && o.id == id {
		return o.box, nil
	}
	for i := range o.store.keys {
		if k := &o.store.keys[i]; k.id == id {
			o.id, o.box, o.made = id, k.box(o.key), true
			return o.box, nil
		}
	}
	return aead.Box{}, fmt.Errorf("%w: id %d", ErrUnknownKey, id)
}

// seal returns f's value as [SealedStore] stores it.
func seal(box aead.Box, id byte, k Key, f Field) string {
	d := desks.Get().(*desk)
	defer d.back()
	d.aad = appendBound(d.aad[:0], k, f)
	d.plain = append(d.plain[:0], f.Value...)
	d.sealed = box.Seal(append(d.sealed[:0], id), d.plain, d.aad)
	return string(d.sealed)
}

// appendBound appends the associated data of a value: where it belongs.
func appendBound(b []byte, k Key, f Field) []byte {
	b = packed.AppendString(b, k.Kind)
	b = packed.AppendString(b, k.ID)
	b = packed.AppendString(b, f.Name)
	return packed.AppendUint(b, f.Version)
}

// A desk is where values are opened and sealed. The cipher takes slices, and what it is given goes
// to the heap: three objects for each value, if they were not used again.
type desk struct{ aad, sealed, plain []byte }

var desks = sync.Pool{New: func() any { return new(desk) }}

// maxDesk is the longest value whose desk is kept.
const maxDesk = 16 << 10

// back makes d ready for its next user, without what its last one has opened.
func (d *desk) back() {
	if cap(d.plain) > maxDesk || cap(d.sealed) > maxDesk {
		return
	}
	clear(d.plain)
	desks.Put(d)
}
