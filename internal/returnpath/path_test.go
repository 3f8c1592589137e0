package returnpath_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/returnpath"
)

var app = &url.URL{Scheme: "https", Host: "app.example"}

// clean is Clean as the tests use it, where nothing else is said.
func clean(s string) (string, bool) { return returnpath.Clean(app, "/auth", s) }

func TestClean(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"root", "/", "/"},
		{"root with query", "/?a=b", "/?a=b"},
		{"root with fragment", "/#top", "/#top"},
		{"query with an escaped slash", "/a?b=c&d=%2F", "/a?b=c&d=%2F"},
		{"fragment", "/videos/1#t=3", "/videos/1#t=3"},
		{"text fragment", "/a#:~:text=b", "/a#:~:text=b"},
		{"escaped text in the query", "/search?q=%E3%81%82", "/search?q=%E3%81%82"},
		{"escaped text in the path", "/%E6%97%A5%E6%9C%AC", "/%E6%97%A5%E6%9C%AC"},
		{"Latin-1 in the path", "/caf%e9", "/caf%e9"},
		{"plus and space", "/a+b%20c?d+e%20f", "/a+b%20c?d+e%20f"},
		{"trailing slash", "/a/", "/a/"},
		{"empty segment further on", "/a//b", "/a//b"},
		{"address inside the path", "/web/2026/https://b.example/", "/web/2026/https://b.example/"},
		{"address inside the query", "/a?next=https://b.example/", "/a?next=https://b.example/"},
		{"escaped line break in the query", "/a?text=b%0d%0ac", "/a?text=b%0d%0ac"},
		{"broken escape in the query", "/a?discount=100%", "/a?discount=100%"},
		{"escaped slash in a segment", "/projects/group%2Fname", "/projects/group%2Fname"},
		{"escaped backslash in a segment", "/users/CORP%5Cjane", "/users/CORP%5Cjane"},
		{"escaped percent", "/100%25/a", "/100%25/a"},
		{"escaped escape of a letter", "/a%2541", "/a%2541"},
		{"escaped fragment sign", "/%23channel", "/%23channel"},
		{"escaped question mark", "/wiki/%3F", "/wiki/%3F"},
		{"parameters", "/a;b=c/d", "/a;b=c/d"},
		{"three dots", "/a/.../b", "/a/.../b"},
		{"hidden file", "/.well-known/x", "/.well-known/x"},
		{"dots in the query", "/a?b=/../..//c", "/a?b=/../..//c"},
		{"two slashes in the query", "/?//b", "/?//b"},
		{"two slashes in the fragment", "/#//b", "/#//b"},
		{"bars and braces", "/a?b={c|d}", "/a?b={c|d}"},
		{"longest", "/" + strings.Repeat("a", returnpath.MaxLength-1), "/" + strings.Repeat("a", returnpath.MaxLength-1)},

		{"own origin", "https://app.example/a?b#c", "/a?b#c"},
		{"own origin, no path", "https://app.example", "/"},
		{"own origin, query only", "https://app.example?a=b", "/?a=b"},
		{"own origin, fragment only", "https://app.example#a", "/#a"},
		{"own origin in capitals", "HTTPS://APP.example/A", "/A"},
		{"own origin, default port", "https://app.example:443/a", "/a"},

		{"empty", "", ""},
		{"too long", "/" + strings.Repeat("a", returnpath.MaxLength), ""},
		{"relative", "a/b", ""},
		{"query only", "?a=b", ""},
		{"fragment only", "#a", ""},
		{"dot segment", "/a/./b", ""},
		{"dot segments", "/a/../b", ""},
		{"dot segment at the end", "/a/..", ""},
		{"escaped dot segment", "/a/%2E%2e/b", ""},
		{"half escaped dot segment", "/a/.%2e", ""},
		{"dot segment between escaped slashes", "/a%2f..%2fb", ""},
		{"dot segment between escaped backslashes", "/a%5c..%5cb", ""},
		{"dot segment with parameters", "/a/..;b/c", ""},
		{"dot segment with escaped parameters", "/a/..%3bb/c", ""},
		{"dot segment before an escaped query", "/a/..%3fb", ""},
		{"dot segment before an escaped fragment", "/a/..%23b", ""},
		{"dot segment escaped twice", "/a/%252e%252e/b", ""},
		{"slash escaped twice", "/%252fevil.example", ""},
		{"slash escaped three times", "/%25252fevil.example", ""},
		{"slash escaped more often than is followed", "/a%2525252525252f", ""},
		{"slash whose escape is escaped digit by digit", "/%25%32%66evil.example", ""},
		{"slash out of two escapes", "/%25%2532fevil.example", ""},
		{"backslash escaped twice", "/%255cevil.example", ""},
		{"control escaped twice", "/%2509/evil.example", ""},
		{"empty segment with parameters", "/;a=b//evil.example", ""},
		{"parameters only", "/;a", ""},
		{"escaped delete", "/a%7f", ""},
		{"escaped NUL", "/a%00", ""},
		{"overlong slash", "/%c0%afevil.example", ""},
		{"overlong slash in three bytes", "/%e0%80%afevil.example", ""},
		{"overlong slash in four bytes", "/%f0%80%80%afevil.example", ""},
		{"overlong dots", "/a/%c0%ae%c0%ae/b", ""},
		{"broken escape", "/100%", ""},
		{"broken escape with a digit", "/a%2", ""},
		{"broken escape of letters", "/a%zz", ""},
		{"escape of another kind", "/%u002fevil.example", ""},
		{"broken escape in the fragment", "/a#100%", ""},
		{"backslash in the query", `/a?b\c`, ""},
		{"quote", `/a"b`, ""},
		{"angle bracket", "/a<b", ""},
		{"line break in the query", "/a?b\r\nSet-Cookie:c", ""},
		{"not ASCII", "/\u00e4", ""},
		{"not UTF-8", "/\xff", ""},

		{"prefix", "/auth", ""},
		{"prefix with slash", "/auth/", ""},
		{"beneath the prefix", "/auth/logout", ""},
		{"prefix with query", "/auth?a", ""},
		{"prefix in capitals", "/AUTH/Login", ""},
		{"prefix escaped", "/%61uth/login", ""},
		{"prefix escaped twice", "/%2561uth/login", ""},
		{"prefix with an escaped slash", "/auth%2flogin", ""},
		{"prefix with an escaped backslash", "/auth%5clogin", ""},
		{"prefix with parameters", "/auth;a=b/login", ""},
		{"prefix before an escaped query", "/auth%3fa", ""},
		{"prefix behind a dot segment", "/a/../auth/login", ""},
		{"prefix, slashes twice", "/auth//login", ""},
		{"prefix, own origin", "https://app.example/auth/login", ""},
		{"longer than the prefix", "/authors", "/authors"},
		{"shorter than the prefix", "/aut", "/aut"},
		{"prefix further on", "/a/auth", "/a/auth"},
		{"prefix in the query", "/a?b=/auth", "/a?b=/auth"},

		{"137 user name", "https://app.example@evil.example/", ""},
		{"137 own user name", "https://me@app.example/", ""},
		{"137 another scheme", "http://app.example/", ""},
		{"137 another port", "https://app.example:8443/", ""},
		{"137 empty port", "https://app.example:/", ""},
		{"137 port of another scheme", "https://app.example:80/", ""},
		{"137 longer host", "https://app.example.evil.example/", ""},
		{"137 host with another beginning", "https://evil-app.example/", ""},
		{"137 sub-domain", "https://a.app.example/", ""},
		{"137 parent", "https://example/", ""},
		{"137 trailing dot", "https://app.example./", ""},
		{"137 punycode", "https://xn--pp-xja.example/", ""},
		{"137 Kelvin sign", "https://app.example\u212a/", ""},
		{"137 port as user name", "https://app.example:443@evil.example/", ""},
		{"137 own origin, then two slashes", "https://app.example//evil.example", ""},
		{"137 own origin, then a backslash", `https://app.example/\evil.example`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := clean(row.in)
			if got != row.want || ok != (row.want != "") {
				t.Errorf("Clean(%q) = %q, %v, want %q", row.in, got, ok, row.want)
			}
		})
	}
}

func TestClean_Base(t *testing.T) {
	for _, row := range []struct {
		name   string
		base   *url.URL
		prefix string
		in     string
		want   string
	}{
		{"loopback", &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, "/auth", "http://127.0.0.1:8080/a", "/a"},
		{"loopback, another port", &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, "/auth", "http://127.0.0.1:8081/a", ""},
		{"loopback, no port", &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, "/auth", "http://127.0.0.1/a", ""},
		{"loopback by name", &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, "/auth", "http://localhost:8080/a", ""},
		{"loopback as a number", &url.URL{Scheme: "http", Host: "127.0.0.1"}, "/auth", "http://2130706433/a", ""},
		{"IPv6", &url.URL{Scheme: "http", Host: "[::1]:8080"}, "/auth", "http://[::1]:8080/a", "/a"},
		{"IPv6 that ends like a port", &url.URL{Scheme: "http", Host: "[::80]"}, "/auth", "http://[::80]:80/a", "/a"},
		{"default port in base", &url.URL{Scheme: "http", Host: "app.example:80"}, "/auth", "http://app.example/a", "/a"},
		{"path and user of base", &url.URL{Scheme: "https", Host: "app.example", Path: "/b", User: url.User("c")}, "/auth", "https://app.example/a", "/a"},
		{"no base, path", nil, "/auth", "/a", "/a"},
		{"no base, absolute", nil, "/auth", "https://app.example/a", ""},
		{"empty base", new(url.URL), "/auth", "://", ""},
		{"empty host", &url.URL{Scheme: "https"}, "/auth", "https:///a", ""},
		{"no prefix", app, "", "/auth/login", "/auth/login"},
		{"prefix is the root", app, "/", "/auth/login", "/auth/login"},
		{"prefix ends in a slash", app, "/auth/", "/auth", ""},
		{"prefix of two segments", app, "/app/auth", "/app/auth/login", ""},
		{"prefix of two segments, slashes twice", app, "/app/auth", "/app//auth/login", ""},
		{"prefix of two segments, parameters", app, "/app/auth", "/app;b/auth;c", ""},
		{"first of two segments", app, "/app/auth", "/app/a", "/app/a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := returnpath.Clean(row.base, row.prefix, row.in)
			if got != row.want || ok != (row.want != "") {
				t.Errorf("Clean(%q) = %q, %v, want %q", row.in, got, ok, row.want)
			}
		})
	}
}

// The very bytes arrive: neither the header's writer nor a parser in between changes one.
func TestClean_Verbatim(t *testing.T) {
	for _, s := range []string{"/a//b?c=%2f%0D#d%20e", "/projects/group%2Fname", "/a?b={c|d}'~!$&()*+,;=:@^`"} {
		got, ok := clean(s)
		if !ok {
			t.Fatalf("Clean(%q) is refused", s)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", got)
			w.WriteHeader(http.StatusSeeOther)
		}))
		response, err := server.Client().Transport.RoundTrip(httptest.NewRequest("GET", server.URL, nil))
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if location := response.Header.Get("Location"); location != s {
			t.Errorf("Location = %q, want %q", location, s)
		}
	}
}

func TestClean_Allocations(t *testing.T) {
	for _, s := range []string{"/", "/videos/1?a=b#t=3", "/%E6%97%A5/a%2Fb", "https://app.example/a"} {
		if n := testing.AllocsPerRun(100, func() { clean(s) }); n != 0 {
			t.Errorf("Clean(%q) allocates %v times, want 0", s, n)
		}
	}
}

func BenchmarkClean(b *testing.B) {
	for _, row := range []struct{ name, in string }{
		{"short", "/videos/1?a=b#t=3"},
		{"escaped", "/%E6%97%A5%E6%9C%AC/%E6%97%A5?q=%E3%81%82"},
		{"absolute", "https://app.example/videos/1?a=b#t=3"},
		{"longest", "/" + strings.Repeat("a", returnpath.MaxLength-1)},
		{"hostile layers", "/" + strings.Repeat("%25", returnpath.MaxLength/3)},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clean(row.in)
			}
		})
	}
}
