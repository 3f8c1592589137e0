package middleware_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/required"
	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/middleware"
)

// Group L of the attacks, open redirects, through every door by which an address comes in. What
// leaves is judged by the URL parser of browsers. CVE-2019-14857, CVE-2019-20479, CVE-2021-32786,
// CVE-2022-23527, CVE-2021-21291, CVE-2022-29214, CVE-2021-43812, CVE-2026-107369.

const corpusDir = "../internal/returnpath/testdata/"

var placeholder = regexp.MustCompile(`<(0x[0-9a-f]{2}|[A-Z]+)>`)

// corpus returns the addresses that leave, or look as if.
func corpus(t testing.TB) []string {
	t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(corpusDir + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	all := strings.Split(strings.TrimSuffix(read("open-redirects.txt"), "\n"), "\n")
	_, block, _ := strings.Cut(read("return-to.md"), "```\n")
	block, _, _ = strings.Cut(block, "```")
	names := map[string]string{"TAB": "\t", "LF": "\n", "CR": "\r", "SP": " ", "NUL": "\x00", "NBSP": "\u00a0"}
	for _, address := range strings.Fields(block) {
		all = append(all, placeholder.ReplaceAllStringFunc(address, func(name string) string {
			name = strings.Trim(name, "<>")
			if n, err := strconv.ParseUint(name, 0, 8); err == nil {
				return string([]byte{byte(n)})
			}
			return names[name]
		}))
	}
	if len(all) < 600 {
		t.Fatalf("%d addresses: is this the corpus?", len(all))
	}
	return all
}

// absolute are the ways to look like our origin: row 137.
var absolute = []string{
	"https://evil-app.example/", "https://app.example.evil/", "https://app.example@evil.example/", "https://app.example:443@evil.example/",
	"https://app.example:8443/", "http://app.example/", "https://app.example./", "https://www.app.example/", "https://xn--app-example/",
	"https://app.example%2eevil.example/", "https://app。example/", "https://app.example\\@evil.example/", "//app.example/", "https:app.example",
	"https://app.example:0443/", "https://app.example:/", "ftp://app.example/", "https://user@app.example/", "https://app.example#@evil.example/",
	"https://app.example?@evil.example/", "https://app.example/ok", "https://APP.example:443/ok?a=b#c",
}

// judge asks Node where browsers go for each address, as it is and when somebody builds it again.
func judge(t *testing.T, found map[string]string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		required.Missing(t, "node", err)
	}
	var in bytes.Buffer
	var all []string
	for address := range found {
		all = append(all, address)
		if err := json.NewEncoder(&in).Encode(map[string]string{"base": appURL, "s": address}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, node, corpusDir+"oracle.mjs")
	command.Stdin, command.Stderr = &in, os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); n++ {
		var v struct{ Plain, Rebuilt string }
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.Plain != appURL || v.Rebuilt != appURL {
			t.Errorf("%q leads to %q: to %s, rebuilt to %s", found[all[n]], all[n], v.Plain, v.Rebuilt)
		}
	}
	if n != len(all) || n == 0 {
		t.Fatalf("the oracle answers %d of %d addresses", n, len(all))
	}
	t.Logf("%d different addresses came out", n)
}

var href = regexp.MustCompile(`(?:href|action)="([^"]*)"`)

// links returns where a page of ours leads, and the return_to that those addresses carry.
func links(page string) []string {
	var all []string
	for _, m := range href.FindAllStringSubmatch(page, -1) {
		to := html.UnescapeString(m[1])
		all = append(all, to)
		if u, err := url.Parse(to); err == nil && u.Query().Has("return_to") {
			all = append(all, u.Query().Get("return_to"))
		}
	}
	return all
}

func TestAttack_L134_corpus(t *testing.T) {
	all := append(corpus(t), absolute...)
	doors := []struct {
		name string
		open func(k *arena, b *browser, address string) []string // what comes out
	}{
		{"134 start, idp", func(_ *arena, b *browser, address string) []string {
			return []string{b.back(b.approve(b.start("idp", address), "ada")).Header.Get("Location")}
		}},
		{"134 start, plain", func(_ *arena, b *browser, address string) []string {
			return []string{b.back(b.approve(b.start("plain", address), "ada")).Header.Get("Location")}
		}},
		{"134 start by a form", func(k *arena, b *browser, address string) []string {
			resp := b.post("/auth/plain/login", url.Values{"return_to": {address}})
			return []string{b.back(b.approve(k.location(resp), "ada")).Header.Get("Location")}
		}},
		{"134 start, as it is in the query", func(k *arena, b *browser, address string) []string {
			r := b.request(http.MethodGet, "/auth/plain/login", nil)
			r.URL.RawQuery = "return_to=" + strings.NewReplacer("#", "%23", "&", "%26", "+", "%2B", ";", "%3B").Replace(address)
			resp := b.do(r)
			if resp.StatusCode != http.StatusSeeOther {
				return links(text(resp))
			}
			return []string{b.back(b.approve(k.location(resp), "ada")).Header.Get("Location")}
		}},
		{"134 Referer of the start", func(k *arena, b *browser, address string) []string {
			r := b.request(http.MethodGet, "/auth/plain/login", nil)
			r.Header["Referer"] = []string{address}
			return []string{b.back(b.approve(k.location(b.do(r)), "ada")).Header.Get("Location")}
		}},
		{"134 sign-out", func(_ *arena, b *browser, address string) []string {
			return []string{b.post("/auth/logout", url.Values{"return_to": {address}}).Header.Get("Location")}
		}},
		{"134 sign-out, in the query", func(_ *arena, b *browser, address string) []string {
			return []string{b.post("/auth/logout?"+url.Values{"return_to": {address}}.Encode(), nil).Header.Get("Location")}
		}},
		{"134 chooser", func(_ *arena, b *browser, address string) []string {
			return links(text(b.open("/auth/login?" + url.Values{"return_to": {address}}.Encode())))
		}},
		{"134 error page", func(_ *arena, b *browser, address string) []string {
			return links(text(b.back(b.deny(b.start("plain", address), "ada"))))
		}},
		{"134 error page of a callback", func(_ *arena, b *browser, address string) []string {
			return links(text(b.back("/auth/plain/callback?" + url.Values{"return_to": {address}, "state": {address}, "redirect_uri": {address}}.Encode())))
		}},
		{"134 callback of somebody signed in", func(_ *arena, b *browser, address string) []string {
			b.signIn("plain", "ada", "/")
			return []string{b.back("/auth/plain/callback?" + url.Values{"return_to": {address}, "state": {address}, "post_logout_redirect_uri": {address}}.Encode()).Header.Get("Location")}
		}},
		{"134 LoginURL", func(k *arena, b *browser, address string) []string {
			r := b.request(http.MethodGet, "/loginurl", nil)
			r.Header["X-Address"] = []string{address}
			to := text(b.do(r))
			return []string{to, query(k.t, to).Get("return_to"), b.back(b.approve(k.location(b.open(to)), "ada")).Header.Get("Location")}
		}},
	}
	for _, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			k := newArena(t, false, func(_ *kit, c *middleware.Config) { c.Logger = silent })
			k.handle("/loginurl", func(w http.ResponseWriter, r *http.Request) {
				to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain"}, r.Header["X-Address"][0])
				if err != nil && (!errors.Is(err, middleware.ErrReturnTo) || to != "") {
					t.Error(err)
				}
				fmt.Fprint(w, cmp.Or(to, "/auth/plain/login"))
			})
			found := map[string]string{}
			for i, address := range all {
				if strings.HasSuffix(door.name, "idp") && i%8 > 0 {
					continue // which provider it is does not matter here, and its signatures take time
				}
				for _, out := range door.open(k, k.browser(), address) {
					if out == "" && !strings.Contains(door.name, "LoginURL") {
						t.Errorf("%q: nothing came out", address)
					}
					found[out] = address
				}
			}
			delete(found, "")
			judge(t, found)
		})
	}
}

func TestAttack_L134_gate(t *testing.T) {
	k := newArena(t, false, func(_ *kit, c *middleware.Config) { c.Logger = silent })
	handler := k.handler
	k.handler = k.auth.Handler(k.auth.Require(middleware.Need{Provider: "plain"})(http.NotFoundHandler()))
	found, opened := map[string]string{}, 0
	for _, address := range append(corpus(t), absolute...) {
		// As a server reads it: absolute-form and paths of two slashes included.
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + address + " HTTP/1.1\r\nHost: app.example\r\n\r\n")))
		if err != nil || strings.HasPrefix(r.URL.Path, "/auth/") {
			continue
		}
		opened++
		b := k.browser()
		r.Header = b.request(http.MethodGet, "/", nil).Header
		resp := b.do(r)
		callback := b.approve(k.location(resp), "ada")
		k.handler = handler
		found[b.back(callback).Header.Get("Location")] = address
		k.handler = k.auth.Handler(k.auth.Require(middleware.Need{Provider: "plain"})(http.NotFoundHandler()))
		for _, dest := range []string{"empty", "iframe"} { // the problem document, and its login_url
			r.Header.Set("Sec-Fetch-Dest", dest)
			r.Header.Set("Sec-Fetch-Mode", map[bool]string{true: "cors", false: "navigate"}[dest == "empty"])
			var p middleware.Problem
			if err := json.Unmarshal([]byte(text(k.serve(r))), &p); err != nil {
				t.Fatal(err)
			}
			found[p.LoginURL] = address
			found[query(t, p.LoginURL).Get("return_to")] = address
		}
	}
	if opened < 300 {
		t.Errorf("only %d addresses are requests", opened)
	}
	delete(found, "")
	judge(t, found)
}

func TestAttack_L135_verbatim(t *testing.T) { // what was judged is what is sent
	k := newArena(t, true)
	addresses := []string{
		"/", "/a/b?c=d&e=%2F%2Fevil.example#f", "/a%20b?q=%0d%0a//x", "/caf%C3%A9", "/a//b", "/?next=//evil.example", "/x?return_to=/auth/logout",
		"/" + strings.Repeat("long/", 300) + "end?q=1",
	}
	for _, seed := range corpus(t) {
		if len(seed) > 1 && seed[0] == '/' {
			addresses = append(addresses, seed)
		}
	}
	accepted := 0
	for _, address := range addresses {
		b := k.browser()
		got := b.back(b.approve(b.start("plain", address), "ada")).Header.Get("Location")
		if got == address {
			accepted++
		}
		if got != address && got != "/" && got != returnpath.Encode(address) {
			t.Errorf("%q became %q: neither sent as it is nor refused", address, got)
		}
	}
	if accepted < 8 || accepted == len(addresses) {
		t.Errorf("%d of %d accepted", accepted, len(addresses))
	}
	for i, address := range addresses[:8] {
		b := k.browser()
		if got := b.back(b.approve(b.start("idp", address), "ada")).Header.Get("Location"); got != address {
			t.Errorf("%d: %q became %q", i, address, got)
		}
	}
}

func TestAttack_L137_absolute(t *testing.T) { // RFC 9700, section 4.11; ASVS 3.7.2
	want := map[string]string{"https://app.example/ok": "/ok", "https://APP.example:443/ok?a=b#c": "/ok?a=b#c", "https://app.example:/": "/"}
	// A "?" or "#" ends the host: what follows is ours.
	want["https://app.example#@evil.example/"], want["https://app.example?@evil.example/"] = "/#@evil.example/", "/?@evil.example/"
	k := newArena(t, true)
	for _, address := range append(slices.Clone(absolute), "https://127.0.0.1/", "https://[::1]/", "https://app.example:65536/") {
		b := k.browser()
		got := b.back(b.approve(b.start("plain", address), "ada")).Header.Get("Location")
		if w, ok := want[address]; got != "/" && (!ok || got != w) {
			t.Errorf("137 %q became %q, want home or %q", address, got, w)
		}
		if w := want[address]; strings.HasSuffix(address, "ok") && got != w {
			t.Errorf("137 %q became %q, want %q", address, got, w)
		}
	}
}
