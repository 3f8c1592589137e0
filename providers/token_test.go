package providers_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
)

func TestToken_Pack(t *testing.T) {
	for _, row := range []struct {
		name string
		tok  providers.Token
	}{
		{"zero", providers.Token{}},
		{"full", providers.Token{
			Access: "a", Type: "Bearer", Refresh: "r", ID: "e30.e30.e30", Expiry: time.UnixMilli(1_900_000_000_123).UTC(),
			Scopes: []string{"x", "y"}, Issuer: "https://id.example", Subject: "ada", Session: "s",
		}},
		{"any bytes", providers.Token{Access: "\x00\xff", Scopes: []string{"", "é"}}},
		{"after 2038", providers.Token{Expiry: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"64 KB", providers.Token{Access: strings.Repeat("a", 64<<10)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := providers.Unpack(row.tok.Pack())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, row.tok) {
				t.Error("Unpack returns another token")
			}
		})
	}
}

func TestToken_Expired(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		expiry time.Time
		want   bool
	}{
		{"unknown", time.Time{}, false},
		{"in an hour", now.Add(time.Hour), false},
		{"in 61 s", now.Add(61 * time.Second), false},
		{"in a minute", now.Add(time.Minute), true},
		{"now", now, true},
		{"long ago", now.Add(-time.Hour), true},
		{"in 2100", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), false}, // 167
	} {
		t.Run(row.name, func(t *testing.T) {
			tok := providers.Token{Expiry: row.expiry}
			if got := tok.Expired(now); got != row.want {
				t.Errorf("Expired: got %v, want %v", got, row.want)
			}
		})
	}
}

// What Unpack takes is a token, and what it is not does no harm.
func FuzzUnpack(f *testing.F) {
	for _, tok := range []providers.Token{{}, {Access: "a", Scopes: []string{"x"}, Expiry: time.UnixMilli(1)}} {
		f.Add(tok.Pack())
	}
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := providers.Unpack(s)
		if err != nil {
			if tok != nil {
				t.Error("a token and an error")
			}
			return
		}
		again, err := providers.Unpack(tok.Pack())
		if err != nil || !reflect.DeepEqual(again, tok) {
			t.Errorf("a token does not survive: %v", err)
		}
	})
}

// A token that cannot be sent is refused by nobody.
func TestAuthorize_notSent(t *testing.T) {
	for _, p := range []providers.Provider{&providers.OIDC{ID: "idp"}, &providers.OAuth2{ID: "idp"}} {
		r, err := http.NewRequest(http.MethodGet, "https://api.example/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []*providers.Token{nil, {}, {Access: "a b"}} {
			err = p.Authorize(r, tok)
			if !errors.Is(err, providers.ErrToken) || strings.Contains(err.Error(), "refused") || r.Header.Get("Authorization") != "" {
				t.Errorf("%T: got %v", p, err)
			}
		}
	}
}
