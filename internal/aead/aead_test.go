package aead_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/returnleg/returnleg/internal/aead"
)

var (
	secret = aead.NewSecret([]byte("a secret of the tests"))
	other  = aead.NewSecret([]byte("another secret"))
)

// The two forms of sealing, which have the same properties.
var forms = []struct {
	name     string
	overhead int
	seal     func(s aead.Secret, plaintext, aad []byte) []byte
	open     func(s aead.Secret, sealed, aad []byte) ([]byte, error)
}{
	{"random nonce", aead.Overhead, seal, open},
	{"once", aead.OnceOverhead, sealOnce, openOnce},
}

var seed = [16]byte{1, 2, 3}

func box(s aead.Secret) aead.Box { return aead.NewBox(s.Derive("test")) }

func seal(s aead.Secret, plaintext, aad []byte) []byte { return box(s).Seal(nil, plaintext, aad) }

func open(s aead.Secret, sealed, aad []byte) ([]byte, error) { return box(s).Open(nil, sealed, aad) }

func sealOnce(s aead.Secret, plaintext, aad []byte) []byte { return s.SealOnce(seed, plaintext, aad) }

func openOnce(s aead.Secret, sealed, aad []byte) ([]byte, error) {
	got, plaintext, err := s.OpenOnce(sealed, aad)
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
				sealed := form.seal(secret, plaintext, []byte("aad"))
				if got, want := len(sealed), size+form.overhead; got != want {
					t.Errorf("%d bytes: got %d sealed, want %d", size, got, want)
				}
				got, err := form.open(secret, sealed, []byte("aad"))
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%d bytes: got %d and error %v", size, len(got), err)
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			sealed := form.seal(secret, []byte("plaintext"), []byte("aad"))
			refuse := func(name string, s aead.Secret, sealed, aad []byte) {
				t.Helper()
				if got, err := form.open(s, sealed, aad); !errors.Is(err, aead.ErrOpen) || got != nil {
					t.Errorf("%s: got %q and error %v, want %v", name, got, err, aead.ErrOpen)
				}
			}
			refuse("another key", other, sealed, []byte("aad"))
			refuse("other associated data", secret, sealed, []byte("aae"))
			refuse("no associated data", secret, sealed, nil)
			refuse("extended", secret, append(bytes.Clone(sealed), 0), []byte("aad"))
			for i := range sealed {
				refuse("truncated", secret, sealed[:i], []byte("aad"))
				flipped := bytes.Clone(sealed)
				flipped[i] ^= 0x80
				refuse("flipped", secret, flipped, []byte("aad"))
			}
		})
	}
}

// Two messages under one key look unrelated: the nonce, or the seed, is new each time.
func TestSealIsRandom(t *testing.T) {
	a, b := seal(secret, []byte("plaintext"), nil), seal(secret, []byte("plaintext"), nil)
	if bytes.Equal(a[:12], b[:12]) {
		t.Error("got one nonce twice")
	}
	once, twice := secret.SealOnce([16]byte{1}, []byte("plaintext"), nil), secret.SealOnce([16]byte{2}, []byte("plaintext"), nil)
	if bytes.Equal(once[16:], twice[16:]) {
		t.Error("the seed does not matter")
	}
}

func TestBoxAppends(t *testing.T) {
	box := box(secret)
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
			if got, err := form.open(secret, sealed, aad); err == nil {
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
			sealed := form.seal(secret, plaintext, aad)
			if got, err := form.open(secret, sealed, aad); err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("%s: got %q and error %v, want %q", form.name, got, err, plaintext)
			}
			bit := bit % uint(8*len(sealed))
			sealed[bit/8] ^= 1 << (bit % 8)
			if _, err := form.open(secret, sealed, aad); !errors.Is(err, aead.ErrOpen) {
				t.Errorf("%s: bit %d changed: got error %v, want %v", form.name, bit, err, aead.ErrOpen)
			}
		}
	})
}
