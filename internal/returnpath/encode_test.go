package returnpath_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// A path as a handler has it, decoded, comes back as the address that it was.
func TestEncode(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"nothing to do", "/a/b?c=d#e", "/a/b?c=d#e"},
		{"space", "/my videos", "/my%20videos"},
		{"space at the end", "/a ", "/a%20"},
		{"umlaut", "/über/größe", "/%C3%BCber/gr%C3%B6%C3%9Fe"},
		{"Japanese", "/日本", "/%E6%97%A5%E6%9C%AC"},
		{"beyond the first plane", "/🎬", "/%F0%9F%8E%AC"},
		{"in the query and the fragment", "/a?q=ä b#ü", "/a?q=%C3%A4%20b#%C3%BC"},
		{"an escape stays one", "/a%20b", "/a%20b"},
		{"a plus stays one", "/a+b", "/a+b"},
		{"own origin", "https://app.example/ä", "/%C3%A4"},
		{"Latin-1", "/caf\xe9", "/caf%E9"},
		{"a slash of another script is a letter", "/a／b", "/a%EF%BC%8Fb"},

		{"quote", `/say "hi"?q="a"#"b"`, "/say%20%22hi%22?q=%22a%22#%22b%22"},
		{"angle brackets", "/a<b>c", "/a%3Cb%3Ec"},

		{"a percent sign alone", "/100%", ""},
		{"TAB", "/a\tb", ""},
		{"NUL", "/a\x00b", ""},
		{"delete", "/a\x7fb", ""},
		{"line break", "/a\r\nb", ""},
		{"backslash", `/a\b`, ""},
		{"backslash after a space", `/ \evil.example`, ""},
		{"space first", " /a", ""},
		{"no-break space first", "\u00a0//evil.example", ""},
		{"two slashes", "//ä.example", ""},
		{"another host", "https://äpp.example/a", ""},
		{"own origin with a letter more", "https://app.exampleä/a", ""},
		{"overlong slash", "/\xc0\xafevil.example", ""},
		{"overlong dots", "/a/\xc0\xae\xc0\xae/b", ""},
		{"prefix", "/auth/ä", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := clean(returnpath.Encode(row.in))
			if got != row.want || ok != (row.want != "") {
				t.Errorf("Clean(Encode(%q)) = %q, %v, want %q", row.in, got, ok, row.want)
			}
		})
	}
}

// What Encode makes acceptable leads nowhere else, to the browsers' parser and to one that decodes first.
func TestEncode_135_Combinations(t *testing.T) {
	pieces := []string{"/", ".", ";", "%2f", "%09", "?", "#", "@", ":", " ", "\u00a0", "\u3000", "ü", "。", "．", "／", "＼", "〱", "\xc0\xaf", "\xff", "\u202e", "evil.example"}
	in := corpus(t)
	var combine func(s string, left int)
	combine = func(s string, left int) {
		in = append(in, s)
		for _, piece := range pieces {
			if left > 0 {
				combine(s+piece, left-1)
			}
		}
	}
	combine("/", 3)
	combine(origin, 2)
	var from, accepted []string
	for _, s := range in {
		if got, ok := clean(returnpath.Encode(s)); ok {
			from, accepted = append(from, s), append(accepted, got)
		}
	}
	for i, v := range oracle(t, accepted) {
		stays(t, from[i], accepted[i], v)
	}
	t.Logf("%d addresses: %d accepted", len(in), len(accepted))
	if len(accepted) < 1000 {
		t.Errorf("%d of %d are accepted: too few to mean anything", len(accepted), len(in))
	}
}

// Only spaces, quotes, angle brackets and bytes that are not ASCII change, a decoder gives them back, and nothing is encoded twice.
func FuzzEncode(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add(s)
	}
	f.Add("/über größe?q=日本#é")
	f.Fuzz(func(t *testing.T, s string) {
		got := returnpath.Encode(s)
		if again := returnpath.Encode(got); again != got {
			t.Fatalf("Encode(%q) = %q, and of that %q", s, got, again)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return strings.ContainsRune(" \"<>", r) || r >= 0x80 }) {
			t.Fatalf("Encode(%q) = %q", s, got)
		}
		if !strings.Contains(s, "%") {
			if back, err := url.PathUnescape(got); err != nil || back != s {
				t.Fatalf("Encode(%q) = %q, and back %q, %v", s, got, back, err)
			}
		}
		if address, ok := clean(got); ok {
			if where, ok := browse(address); !ok || strings.HasPrefix(where, "//") {
				t.Fatalf("Encode(%q) = %q: a browser goes to %q", s, got, where)
			}
		}
	})
}
