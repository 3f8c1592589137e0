package returnpath_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// What is accepted is an address of the app, to Go's parser, to the browsers' and to one that
// decodes before it parses; nothing in it can be changed by a header; and it is accepted again.
func FuzzClean(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add(s)
		f.Add(origin + "/" + strings.TrimLeft(s, "/"))
	}
	for _, s := range []string{"/", "/a?b=c&d=%2F#e", "/a//b", "/auth/login", "/%61uth", "/%2561uth", "/%25%32%66", "/a;b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := clean(s)
		if !ok {
			if got != "" {
				t.Fatalf("Clean(%q) = %q, refused", s, got)
			}
			return
		}
		if !strings.HasSuffix(s, got) && !strings.HasSuffix(s, got[1:]) {
			t.Fatalf("Clean(%q) = %q: not a part of it", s, got)
		}
		if len(got) > returnpath.MaxLength {
			t.Fatalf("Clean(%q) has %d bytes", s, len(got))
		}
		if again, ok := clean(got); again != got || !ok {
			t.Fatalf("Clean(%q) = %q, and of that %q, %v", s, got, again, ok)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("Clean(%q) = %q: not visible ASCII", s, got)
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
			t.Fatalf("Clean(%q) = %q, which url.Parse reads as %#v, %v", s, got, u, err)
		}
		for seen := range layers(got) {
			where, ok := browse(seen)
			if !ok || strings.HasPrefix(where, "//") {
				t.Fatalf("Clean(%q) = %q, decoded %q: a browser goes to %q, %v", s, got, seen, where, ok)
			}
		}
		// The path alone, as a router sees it that decodes, merges slashes and resolves dots.
		raw, _, _ := strings.Cut(got, "?")
		raw, _, _ = strings.Cut(raw, "#")
		for seen := range layers(raw) {
			routed := strings.ToLower(path.Clean(strings.ReplaceAll(seen, `\`, "/")))
			if routed == "/auth" || strings.HasPrefix(routed, "/auth/") {
				t.Fatalf("Clean(%q) = %q, decoded %q: beneath the prefix", s, got, seen)
			}
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", "/dir/page", nil), got, http.StatusSeeOther)
		if location := w.Header().Get("Location"); !is(location) {
			t.Fatalf("Clean(%q) = %q, which http.Redirect turns into %q", s, got, location)
		}
	})
}

// An address stays one with a parameter more, which is then there once, and nothing else is new.
func FuzzWithQuery(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add(s, "rl", "x")
	}
	f.Add("/a?rl=b&%72l=c&d#e", "rl", "&=#")
	f.Fuzz(func(t *testing.T, s, key, value string) {
		s, ok := clean(s)
		if !ok || len(s)+3*len(key)+3*len(value)+2 > returnpath.MaxLength {
			return
		}
		got := returnpath.WithQuery(s, key, value)
		if !is(got) {
			t.Fatalf("WithQuery(%q, %q, %q) = %q is refused", s, key, value, got)
		}
		if again := returnpath.WithQuery(got, key, value); again != got {
			t.Fatalf("WithQuery(%q, %q, %q) = %q, and of that %q", s, key, value, got, again)
		}
		before, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		after, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if after.EscapedPath() != before.EscapedPath() || after.EscapedFragment() != before.EscapedFragment() {
			t.Fatalf("WithQuery(%q, %q, %q) = %q: path or fragment changed", s, key, value, got)
		}
		want, have := before.Query(), after.Query()
		want.Set(key, value)
		if want.Encode() != have.Encode() {
			t.Fatalf("WithQuery(%q, %q, %q) has %q, want %q", s, key, value, have, want)
		}
	})
}

// layers yields s, and s decoded as often as that changes it.
func layers(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for yield(s) {
			decoded := s
			for i := 0; i+2 < len(decoded); i++ {
				if b, err := url.PathUnescape(decoded[i : i+min(3, len(decoded)-i)]); err == nil && len(b) == 1 {
					decoded = decoded[:i] + b + decoded[i+3:]
				}
			}
			if decoded == s {
				return
			}
			s = decoded
		}
	}
}

// browse follows the basic URL parser of the URL Standard for a reference on an https page, and
// returns the path at which it ends there, or false if it ends elsewhere.
func browse(s string) (string, bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	s, _, _ = strings.Cut(s, "#")
	s, _, _ = strings.Cut(s, "?")
	s = strings.ReplaceAll(s, `\`, "/") // as in every special scheme
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return s, false
	}
	segments := strings.Split(s[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/"), true
}
