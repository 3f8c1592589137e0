package aead_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/returnleg/returnleg/internal/aead"
)

var key = aead.Derive([]byte("a secret of the tests"), "test")

func TestDerive(t *testing.T) {
	secret := []byte("secret")
	lists := [][]string{
		{},
		{""},
		{"", ""},
		{"ab"},
		{"a", "b"},
		{"b", "a"},
		{"a", "b", ""},
		{"ab", ""},
		{"\x01a"}, // what the length of "a" looks like
		{"\x01a\x01b"},
	}
	seen := map[[32]byte]int{}
	for i, parts := range lists {
		k := aead.Derive(secret, parts...)
		if k != aead.Derive(secret, parts...) {
			t.Errorf("list %d: got two keys", i)
		}
		if j, taken := seen[k]; taken {
			t.Errorf("lists %d and %d: got one key", j, i)
		}
		seen[k] = i
		if k == aead.Derive([]byte("Secret"), parts...) {
			t.Errorf("list %d: the secret does not matter", i)
		}
	}
	long := string(make([]byte, 1000))
	if aead.Derive(secret, long) == aead.Derive(secret, long+"x") {
		t.Error("the end of a long part does not matter")
	}
}

// What is derived is HMAC as everybody has it, whatever the lengths.
func FuzzDerive(f *testing.F) {
	for _, n := range []int{0, 1, 31, 32, 63, 64, 65, 190, 191, 192, 193, 1000} {
		f.Add(make([]byte, n), "text")
		f.Add([]byte("secret"), string(make([]byte, n)))
	}
	f.Fuzz(func(t *testing.T, secret []byte, part string) {
		h := hmac.New(sha256.New, secret)
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
		if got := aead.Derive(secret, part); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("got %x, want %x", got, h.Sum(nil))
		}
	})
}

func TestDeriveAllocates(t *testing.T) {
	secret, id := key[:], "a record's id of 22 bytes"
	if got := testing.AllocsPerRun(100, func() { aead.Derive(secret, "record", "session", id) }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// The two forms of sealing, which have the same properties.
var forms = []struct {
	name     string
	overhead int
	seal     func(key [32]byte, plaintext, aad []byte) []byte
	open     func(key [32]byte, sealed, aad []byte) ([]byte, error)
}{
	{"random nonce", aead.Overhead, aead.Seal, aead.Open},
	{"once", aead.OnceOverhead, sealOnce, openOnce},
}

var seed = [16]byte{1, 2, 3}

func sealOnce(key [32]byte, plaintext, aad []byte) []byte {
	return aead.SealOnce(key, seed, plaintext, aad)
}

func openOnce(key [32]byte, sealed, aad []byte) ([]byte, error) {
	got, plaintext, err := aead.OpenOnce(key, sealed, aad)
	if err == nil && got != seed {
		return nil, errors.New("another seed")
	}
	return plaintext, err
}

func TestSealOpen(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			for _, size := range []int{0, 1, 15, 16, 17, 5000} {
				plaintext := bytes.Repeat([]byte("p"), size)
				sealed := form.seal(key, plaintext, []byte("aad"))
				if got, want := len(sealed), size+form.overhead; got != want {
					t.Errorf("%d bytes: got %d sealed, want %d", size, got, want)
				}
				got, err := form.open(key, sealed, []byte("aad"))
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%d bytes: got %d and error %v", size, len(got), err)
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	other := aead.Derive([]byte("another secret"), "test")
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			sealed := form.seal(key, []byte("plaintext"), []byte("aad"))
			refuse := func(name string, key [32]byte, sealed, aad []byte) {
				t.Helper()
				if got, err := form.open(key, sealed, aad); !errors.Is(err, aead.ErrOpen) || got != nil {
					t.Errorf("%s: got %q and error %v, want %v", name, got, err, aead.ErrOpen)
				}
			}
			refuse("another key", other, sealed, []byte("aad"))
			refuse("other associated data", key, sealed, []byte("aae"))
			refuse("no associated data", key, sealed, nil)
			refuse("extended", key, append(bytes.Clone(sealed), 0), []byte("aad"))
			for i := range sealed {
				refuse("truncated", key, sealed[:i], []byte("aad"))
				flipped := bytes.Clone(sealed)
				flipped[i] ^= 0x80
				refuse("flipped", key, flipped, []byte("aad"))
			}
		})
	}
}

// Two messages under one key look unrelated: the nonce, or the seed, is new each time.
func TestSealIsRandom(t *testing.T) {
	a, b := aead.Seal(key, []byte("plaintext"), nil), aead.Seal(key, []byte("plaintext"), nil)
	if bytes.Equal(a[:12], b[:12]) {
		t.Error("got one nonce twice")
	}
	once, twice := aead.SealOnce(key, [16]byte{1}, []byte("plaintext"), nil), aead.SealOnce(key, [16]byte{2}, []byte("plaintext"), nil)
	if bytes.Equal(once[16:], twice[16:]) {
		t.Error("the seed does not matter")
	}
}

func TestBoxAppends(t *testing.T) {
	box := aead.NewBox(key)
	sealed := box.Seal([]byte("id"), []byte("plaintext"), nil)
	if !bytes.HasPrefix(sealed, []byte("id")) {
		t.Fatalf("got %q, want it behind %q", sealed, "id")
	}
	got, err := box.Open([]byte("> "), sealed[2:], nil)
	if err != nil || string(got) != "> plaintext" {
		t.Errorf("got %q and error %v", got, err)
	}
}

// FuzzOpen: bytes that we did not seal do not open.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, aead.Overhead), []byte{})
	f.Add(make([]byte, aead.OnceOverhead+5), []byte("aad"))
	f.Fuzz(func(t *testing.T, sealed, aad []byte) {
		for _, form := range forms {
			if got, err := form.open(key, sealed, aad); err == nil {
				t.Errorf("%s: %d forged bytes opened as %q", form.name, len(sealed), got)
			}
		}
	})
}

// FuzzSeal: what is sealed opens, and with one bit changed it does not.
func FuzzSeal(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint(0))
	f.Add([]byte("plaintext"), []byte("aad"), uint(77))
	f.Fuzz(func(t *testing.T, plaintext, aad []byte, bit uint) {
		for _, form := range forms {
			sealed := form.seal(key, plaintext, aad)
			if got, err := form.open(key, sealed, aad); err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("%s: got %q and error %v, want %q", form.name, got, err, plaintext)
			}
			bit := bit % uint(8*len(sealed))
			sealed[bit/8] ^= 1 << (bit % 8)
			if _, err := form.open(key, sealed, aad); !errors.Is(err, aead.ErrOpen) {
				t.Errorf("%s: bit %d changed: got error %v, want %v", form.name, bit, err, aead.ErrOpen)
			}
		}
	})
}
