package sessionstore_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/sessionstore"
)

// secret returns 32 bytes that look random enough and depend on n.
func secret(n byte) []byte {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(i)*7 + n
	}
	return b
}

func TestKeyringValidate(t *testing.T) {
	key := func(id, n byte) sessionstore.RingKey { return sessionstore.RingKey{ID: id, Secret: secret(n)} }
	rows := []struct {
		name string
		ring sessionstore.Keyring
		want []string // parts of the error; none: valid
	}{
		{"165 one", sessionstore.Keyring{key(1, 1)}, nil},
		{"165 two", sessionstore.Keyring{key(1, 1), key(2, 2)}, nil},
		{"165 id zero", sessionstore.Keyring{key(0, 1)}, nil},
		{"165 random", sessionstore.NewKeyring(), nil},
		{"165 nil", nil, []string{"no keys"}},
		{"165 empty", sessionstore.Keyring{}, []string{"no keys"}},
		{"165 no secret", sessionstore.Keyring{{ID: 1}}, []string{"key 1: 0 bytes, want 32"}},
		{"165 short", sessionstore.Keyring{{ID: 1, Secret: secret(1)[:31]}}, []string{"key 1: 31 bytes, want 32"}},
		{"165 long", sessionstore.Keyring{{ID: 1, Secret: append(secret(1), 1)}}, []string{"key 1: 33 bytes, want 32"}},
		{"165 all zero", sessionstore.Keyring{{ID: 1, Secret: make([]byte, 32)}}, []string{"key 1: not random: only 1 different bytes"}},
		{"165 all equal", sessionstore.Keyring{{ID: 1, Secret: bytes.Repeat([]byte("k"), 32)}}, []string{"key 1: not random: only 1 "}},
		{"165 a word over and over", sessionstore.Keyring{{ID: 1, Secret: bytes.Repeat([]byte("password"), 4)}}, []string{"key 1: not random: only 7 "}},
		{"165 hexadecimal digits as bytes", sessionstore.Keyring{{ID: 1, Secret: []byte("5f2a9c4e7b1d8360a5f2c94e7b1d8360")}}, nil}, // has all sixteen digits: just enough
		{"165 same id", sessionstore.Keyring{key(1, 1), key(2, 2), key(1, 3)}, []string{"keys 1 and 3: same id 1"}},
		{"165 same secret", sessionstore.Keyring{key(1, 1), key(2, 1)}, []string{"keys 1 and 2: same secret"}},
		{"165 every mistake at once", sessionstore.Keyring{key(1, 1), {ID: 1, Secret: []byte("x")}, {ID: 3, Secret: make([]byte, 32)}, key(4, 1)},
			[]string{"keys 1 and 2: same id 1", "key 2: 1 bytes", "key 3: not random", "keys 1 and 4: same secret"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			err := row.ring.Validate()
			if len(row.want) == 0 && err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			for _, want := range row.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestParseKeyring(t *testing.T) {
	first, second := secret(1), secret(200)
	std := base64.StdEncoding.EncodeToString
	rows := []struct {
		name string
		in   string
		want [][]byte
		err  []string
	}{
		{"one", std(first), [][]byte{first}, nil},
		{"two", std(first) + "," + std(second), [][]byte{first, second}, nil},
		{"blanks and a line end", " " + std(first) + " , \n" + std(second) + "\n", [][]byte{first, second}, nil},
		{"no padding", base64.RawStdEncoding.EncodeToString(first), [][]byte{first}, nil},
		{"alphabet of URLs", base64.URLEncoding.EncodeToString(second) + "," + base64.RawURLEncoding.EncodeToString(first), [][]byte{second, first}, nil},
		{"nothing", "", nil, []string{"no keys"}},
		{"blank", " \n", nil, []string{"no keys"}},
		{"comma at the end", std(first) + ",", nil, []string{"key 2: 0 bytes, want 32"}},
		{"not base64", std(first) + ",correct horse", nil, []string{"key 2: not base64"}},
		{"hexadecimal", strings.Repeat("5f2a9c4e", 8), nil, []string{"key 1: 48 bytes, want 32"}},
		{"short", std(first[:16]), nil, []string{"key 1: 16 bytes, want 32"}},
		{"two that are not base64", "*,*", nil, []string{"key 1: not base64", "key 2: not base64"}},
		{"the same twice", std(first) + "," + std(first), nil, []string{"keys 1 and 2: same secret"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ring, err := sessionstore.ParseKeyring(row.in)
			for _, want := range row.err {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "horse") {
				t.Errorf("error %q shows the key", err)
			}
			if (err == nil) != (row.err == nil) {
				t.Fatalf("got error %v", err)
			}
			var got [][]byte
			for _, k := range ring {
				got = append(got, k.Secret)
			}
			if !slices.EqualFunc(got, row.want, bytes.Equal) {
				t.Errorf("got %d keys, want %d, or others", len(got), len(row.want))
			}
		})
	}
}

// A key keeps its ID wherever it stands, and two keys that cannot tell theirs apart are refused.
func TestParseKeyringIDs(t *testing.T) {
	seen := map[byte]string{}
	collided := false
	for n := range 256 {
		s := base64.StdEncoding.EncodeToString(secret(byte(n)))
		ring, err := sessionstore.ParseKeyring(s)
		if err != nil {
			t.Fatal(err)
		}
		id := ring[0].ID
		other, taken := seen[id]
		seen[id] = s
		if !taken {
			continue
		}
		collided = true
		if _, err := sessionstore.ParseKeyring(s + "," + other); err == nil || !strings.Contains(err.Error(), "same id") {
			t.Fatalf("got error %v for two keys with id %d", err, id)
		}
	}
	if !collided || len(seen) < 128 {
		t.Errorf("got %d different ids of 256 keys", len(seen))
	}
	a, b := base64.StdEncoding.EncodeToString(secret(1)), base64.StdEncoding.EncodeToString(secret(2))
	ab, err := sessionstore.ParseKeyring(a + "," + b)
	if err != nil {
		t.Fatal(err)
	}
	ba, err := sessionstore.ParseKeyring(b + "," + a)
	if err != nil {
		t.Fatal(err)
	}
	if ab[0].ID != ba[1].ID || ab[1].ID != ba[0].ID {
		t.Error("a key's ID depends on its place")
	}
}

func TestRingKeyDerive(t *testing.T) {
	k, other := sessionstore.RingKey{ID: 1, Secret: secret(1)}, sessionstore.RingKey{ID: 1, Secret: secret(2)}
	same := sessionstore.RingKey{ID: 9, Secret: secret(1)}
	if k.Derive("state") != same.Derive("state") {
		t.Error("one secret and purpose give two keys")
	}
	if k.Derive("state") == k.Derive("cookie") || k.Derive("state") == other.Derive("state") {
		t.Error("two purposes or secrets give one key")
	}
}

// What holds secrets shows none, however it is printed or encoded.
func TestRedacted(t *testing.T) {
	const canary = "cAnArYcAnArY-0123456789-abcdefgh"
	ring := sessionstore.Keyring{{ID: 1, Secret: []byte(canary)}}
	field := sessionstore.Field{Name: "a", Value: canary}
	record := sessionstore.NewRecord(sessionstore.Record{}.Expires, field)
	rows := []struct {
		name  string
		value any
	}{
		{"161 keyring", ring},
		{"161 pointer to keyring", &ring},
		{"161 ring key", ring[0]},
		{"161 keyring in a struct", struct{ Keys sessionstore.Keyring }{ring}},
		{"161 ring key in a map", map[string]sessionstore.RingKey{"k": ring[0]}},
		{"161 field", field},
		{"161 fields in a change", sessionstore.Change{Set: []sessionstore.Field{field}}},
		{"161 record", record},
		{"161 pointer to record", &record},
		{"161 record in a struct", struct{ Record sessionstore.Record }{record}},
	}
	shapes := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))[1:20],
		base64.StdEncoding.EncodeToString([]byte(canary))[:40], fmt.Sprintf("%#v", []byte(canary))[7:40]}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%c", "%U", "%08b"} {
				fmt.Fprintf(&out, verb+"\n", row.value)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", row.value)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", row.value)
			if b, err := json.Marshal(row.value); err == nil {
				out.Write(b)
			}
			if b, err := xml.Marshal(row.value); err == nil {
				out.Write(b)
			}
			gob.NewEncoder(&out).Encode(row.value)
			for _, shape := range shapes {
				if strings.Contains(out.String(), shape) {
					t.Errorf("got %q in %q", shape, out.String())
				}
			}
			if !strings.Contains(out.String(), "[redacted]") {
				t.Errorf("got %q, want [redacted] in it", out.String())
			}
		})
	}
}
