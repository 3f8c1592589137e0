package sessionstore_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A boundStore is a store with one sealed record, its field "a" at version 7.
type boundStore struct {
	inner  *sessionstore.Memory
	sealed *sessionstore.SealedStore
	told   []error
}

var boundKey = sessionstore.Key{Kind: "session", ID: "one"}

func newBound(t *testing.T, keys sessionstore.Keyring) *boundStore {
	t.Helper()
	b := &boundStore{inner: new(sessionstore.Memory)}
	b.sealed = sessionstore.Sealed(b.inner, keys)
	b.sealed.Unopened = func(k sessionstore.Key, field string, err error) {
		b.told = append(b.told, fmt.Errorf("%s/%s/%s: %w", k.Kind, k.ID, field, err))
	}
	err := b.sealed.Update(t.Context(), boundKey, create(sessionstore.Field{Name: "a", Value: "secret value", Version: 7}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw returns field "a" as the inner store has it.
func (b *boundStore) raw(t *testing.T) sessionstore.Field {
	t.Helper()
	r, err := b.inner.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := r.Field("a")
	return f
}

func TestSealedKeepsNothingInTheClear(t *testing.T) {
	b := newBound(t, sessionstore.NewKeyring())
	f := b.raw(t)
	if strings.Contains(f.Value, "secret") {
		t.Error("the store has the value in the clear")
	}
	if got, want := len(f.Value), len("secret value")+29; got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	if err := b.sealed.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "secret value", Version: 7}}}); err != nil {
		t.Fatal(err)
	}
	if b.raw(t).Value == f.Value {
		t.Error("the same value, sealed twice, looks the same: the nonce is not random")
	}
}

// What an earlier build has sealed and derived is what this one opens and derives: docs/decisions.md, "A
// minor version adds, and changes nothing".
func TestSealed_asEver(t *testing.T) {
	k := sessionstore.RingKey{ID: 7, Secret: secret(1)}
	b := newBound(t, sessionstore.Keyring{k})
	sealed := unhex(t, "07d361f9060db730dd6d41d5d677790f8e1bdc8549b58100d25f4bad262a29badf8f26a287e21199fd")
	put := sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: sealed, Version: 7}}}
	if err := b.inner.Update(t.Context(), boundKey, put); err != nil {
		t.Fatal(err)
	}
	r, err := b.sealed.Load(t.Context(), boundKey)
	if f, _ := r.Field("a"); err != nil || f.Value != "secret value" {
		t.Errorf("got %q and error %v: %v", f.Value, err, b.told)
	}
	derived := k.Derive("a purpose")
	if want := unhex(t, "486a31e07290a1cee7a0428fcbf66cafa43dfa38b7194de8b0ad88f0ab8f12c3"); string(derived[:]) != want {
		t.Errorf("got key %x, want %x", derived, want)
	}
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSealedTampering is what somebody with write access to the store can try.
func TestSealedTampering(t *testing.T) {
	ring := sessionstore.NewKeyring()
	other := sessionstore.Key{Kind: "session", ID: "two"}
	otherKind := sessionstore.Key{Kind: "account", ID: "one"}
	flip := func(i int) func(f sessionstore.Field) sessionstore.Field {
		return func(f sessionstore.Field) sessionstore.Field {
			v := []byte(f.Value)
			if i < 0 {
				i += len(v)
			}
			v[i] ^= 1
			f.Value = string(v)
			return f
		}
	}
	cut := func(from, to int) func(f sessionstore.Field) sessionstore.Field {
		return func(f sessionstore.Field) sessionstore.Field { f.Value = f.Value[from : len(f.Value)-to]; return f }
	}
	rows := []struct {
		name string
		at   sessionstore.Key
		edit func(f sessionstore.Field) sessionstore.Field
		want error // nil: it opens
	}{
		{"164 untouched", boundKey, cut(0, 0), nil},
		{"164 row swapped", other, cut(0, 0), sessionstore.ErrForged},
		{"164 row of another kind", otherKind, cut(0, 0), sessionstore.ErrForged},
		{"164 field moved", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Name = "b"; return f }, sessionstore.ErrForged},
		{"164 version raised", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Version++; return f }, sessionstore.ErrForged},
		{"164 version dropped", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Version = 0; return f }, sessionstore.ErrForged},
		{"164 truncated", boundKey, cut(0, 1), sessionstore.ErrForged},
		{"164 truncated to the key id", boundKey, cut(0, 28+len("secret value")), sessionstore.ErrForged},
		{"164 truncated to nothing", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Value = ""; return f }, sessionstore.ErrForged},
		{"164 extended", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Value += "x"; return f }, sessionstore.ErrForged},
		{"164 in the clear", boundKey, func(f sessionstore.Field) sessionstore.Field { f.Value = f.Value[:1] + "secret value"; return f }, sessionstore.ErrForged},
		{"164 bit of the nonce", boundKey, flip(1), sessionstore.ErrForged},
		{"164 bit of the text", boundKey, flip(13), sessionstore.ErrForged},
		{"164 bit of the tag", boundKey, flip(-1), sessionstore.ErrForged},
		{"165 unknown key id", boundKey, flip(0), sessionstore.ErrUnknownKey},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := newBound(t, ring)
			f := row.edit(b.raw(t))
			c := sessionstore.Change{Mode: sessionstore.MayExist, Set: []sessionstore.Field{f}, Expires: time.Now().Add(time.Hour)}
			if err := b.inner.Update(t.Context(), row.at, c); err != nil {
				t.Fatal(err)
			}
			r, err := b.sealed.Load(t.Context(), row.at)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := r.Field(f.Name)
			if opens := row.want == nil; ok != opens || ok && got.Value != "secret value" {
				t.Fatalf("got %q, %v; want opened: %v", got.Value, ok, opens)
			}
			if row.want == nil {
				return
			}
			if got != (sessionstore.Field{}) {
				t.Error("got something of a field that is not there")
			}
			for left := range r.All() {
				if left.Name == f.Name {
					t.Error("All yields what does not open")
				}
			}
			if len(b.told) != 2 || !errors.Is(b.told[0], row.want) || !errors.Is(b.told[1], row.want) {
				t.Fatalf("Unopened was told %v, want %v twice", b.told, row.want)
			}
			if s := b.told[0].Error(); !strings.HasPrefix(s, row.at.Kind+"/"+row.at.ID+"/"+f.Name+": ") || strings.Contains(s, "secret") {
				t.Errorf("Unopened was told %q", s)
			}
		})
	}
}

func TestSealedRotation(t *testing.T) {
	older, newer := sessionstore.NewKeyring()[0], sessionstore.NewKeyring()[0]
	older.ID, newer.ID = 1, 2
	rows := []struct {
		name  string
		seals sessionstore.Keyring
		opens sessionstore.Keyring
		id    byte
		want  bool
	}{
		{"165 same ring", sessionstore.Keyring{older}, sessionstore.Keyring{older}, 1, true},
		{"165 new key behind", sessionstore.Keyring{older, newer}, sessionstore.Keyring{older}, 1, true},
		{"165 new key in front", sessionstore.Keyring{older}, sessionstore.Keyring{newer, older}, 1, true},
		{"165 new key seals", sessionstore.Keyring{newer, older}, sessionstore.Keyring{older, newer}, 2, true},
		{"165 old key removed", sessionstore.Keyring{older}, sessionstore.Keyring{newer}, 1, false},
		{"165 replica that does not know the new key", sessionstore.Keyring{newer, older}, sessionstore.Keyring{older}, 2, false},
		{"165 same id, another key", sessionstore.Keyring{older}, sessionstore.Keyring{{ID: 1, Secret: newer.Secret}}, 1, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := newBound(t, row.seals)
			if got := b.raw(t).Value[0]; got != row.id {
				t.Errorf("got id %d in front, want %d", got, row.id)
			}
			r, err := sessionstore.Sealed(b.inner, row.opens).Load(t.Context(), boundKey)
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := r.Field("a"); ok != row.want || ok && f.Value != "secret value" {
				t.Errorf("got %q, %v; want opened: %v", f.Value, ok, row.want)
			}
		})
	}
}

// A record whose fields were sealed by two keys opens whole, read by many at once.
func TestSealedMixedKeys(t *testing.T) {
	older, newer := sessionstore.NewKeyring()[0], sessionstore.NewKeyring()[0]
	older.ID, newer.ID = 1, 2
	b := newBound(t, sessionstore.Keyring{older})
	s := sessionstore.Sealed(b.inner, sessionstore.Keyring{newer, older})
	if err := s.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{{Name: "b", Value: "newer"}}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	for range 8 {
		go func() {
			a, _ := r.Field("a")
			b, _ := r.Field("b")
			done <- a.Value == "secret value" && b.Value == "newer"
		}()
	}
	for range 8 {
		if !<-done {
			t.Error("got other values than were sealed")
		}
	}
}

// What is sealed twice opens twice, and a record can be unpacked from its layers by Apply and Pack.
func TestSealedTwice(t *testing.T) {
	inner := new(sessionstore.Memory)
	s := sessionstore.Sealed(sessionstore.Sealed(inner, sessionstore.NewKeyring()), sessionstore.NewKeyring())
	if err := s.Update(t.Context(), boundKey, create(sessionstore.Field{Name: "a", Value: "1", Version: 3})); err != nil {
		t.Fatal(err)
	}
	r, err := s.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	want := sessionstore.Field{Name: "a", Value: "1", Version: 3}
	if got, ok := r.Field("a"); !ok || got != want {
		t.Errorf("Field: got %q, %v", got.Value, ok)
	}
	applied, err := r.Apply(sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := applied.Field("a"); !ok || got != want {
		t.Errorf("Apply: got %q, %v", got.Value, ok)
	}
	unpacked, err := sessionstore.Unpack(r.Pack())
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := unpacked.Field("a"); !ok || got != want {
		t.Errorf("Pack: got %q, %v", got.Value, ok)
	}
}

func TestSealedPanicsWithoutKeys(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic from an empty key ring")
		}
	}()
	sessionstore.Sealed(new(sessionstore.Memory), nil)
}

// FuzzSealedOpen puts any bytes into the inner store: none of them opens, and none panics.
func FuzzSealedOpen(f *testing.F) {
	ring := sessionstore.NewKeyring()
	f.Add("", "a", uint64(0))
	f.Add(string([]byte{ring[0].ID}), "a", uint64(1))
	f.Add(string([]byte{ring[0].ID})+strings.Repeat("\x00", 28), "a", uint64(1))
	f.Add(string([]byte{ring[0].ID})+strings.Repeat("x", 100), "a", uint64(1<<63))
	f.Fuzz(func(t *testing.T, value, name string, version uint64) {
		inner := new(sessionstore.Memory)
		if err := inner.Update(context.Background(), boundKey, create(sessionstore.Field{Name: name, Value: value, Version: version})); err != nil {
			return // not a name
		}
		r, err := sessionstore.Sealed(inner, ring).Load(context.Background(), boundKey)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := r.Field(name); ok {
			t.Errorf("%d forged bytes opened as %d", len(value), len(got.Value))
		}
	})
}
