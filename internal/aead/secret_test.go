package aead_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/returnleg/returnleg/internal/aead"
)

func TestDerive(t *testing.T) {
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
		k := secret.Derive(parts...)
		if k != secret.Derive(parts...) {
			t.Errorf("list %d: got two keys", i)
		}
		if j, taken := seen[k]; taken {
			t.Errorf("lists %d and %d: got one key", j, i)
		}
		seen[k] = i
		if k == other.Derive(parts...) {
			t.Errorf("list %d: the secret does not matter", i)
		}
	}
	long := string(make([]byte, 1000))
	if secret.Derive(long) == secret.Derive(long+"x") {
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
		s := aead.NewSecret(secret)
		s.Derive("what is derived next does not depend on")
		if got := s.Derive(part); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("got %x, want %x", got, h.Sum(nil))
		}
	})
}

// Many may derive from one secret at once.
func TestDeriveTogether(t *testing.T) {
	want := [][32]byte{secret.Derive("a"), secret.Derive("b", "c")}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got := secret.Derive("a"); got != want[0] {
					t.Errorf("got %x, want %x", got, want[0])
				}
				if got := secret.Derive("b", "c"); got != want[1] {
					t.Errorf("got %x, want %x", got, want[1])
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDerive(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		secret.Derive("record", "session", "an id of 22 characters")
	}
}
