package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Seeds name what is different in each process by a placeholder: STATE, CODE and the like.

func fuzzArena(f *testing.F, seal bool, change ...func(*kit, *middleware.Config)) *arena {
	return newArena(f, seal, append(change, func(_ *kit, c *middleware.Config) { c.Logger = silent })...)
}

// FuzzCallbackQuery: whatever stands in the query, no code is sent unless it has the state of this
// browser, once, and one code; and a query is never our own failure.
func FuzzCallbackQuery(f *testing.F) {
	for _, seed := range []string{
		"code=CODE&state=STATE&iss=https://plain.example", "code=CODE&state=STATE", "state=STATE&code=CODE&iss=https://idp.example",
		"code=CODE&state=STATE&state=STATE&iss=https://plain.example", "code=CODE&code=CODE&state=STATE&iss=https://plain.example",
		"code=CODE&state=STATE%0a&iss=https://plain.example", "code=CODE&state=STATE=&iss=https://plain.example", "code=CODE&STATE",
		"error=access_denied&state=bad&iss=https://plain.example", "code=CODE&error=x&state=STATE", "answer=made-up", "answer=x&state=STATE",
		"code=CODE;state=STATE", "code=%zz&state=STATE", "access_token=a&id_token=b&state=STATE&code=CODE&iss=https://plain.example", "", "&&&=", "state",
		"code=CODE&st%61te=STATE&iss=https://plain.example", "code=a%26redirect_uri%3dx&state=STATE&iss=https://plain.example", "%00=%ff&state=%ff%fe",
	} {
		f.Add(seed)
	}
	k := fuzzArena(f, true)
	b := k.browser()
	good := query(f, b.approve(b.start("plain", "/"), "ada"))
	f.Fuzz(func(t *testing.T, raw string) {
		k.t = t
		raw = strings.NewReplacer("STATE", good.Get("state"), "CODE", good.Get("code")).Replace(raw)
		r := b.callback("/auth/plain/callback")
		r.URL.RawQuery = raw
		before := k.redeems()
		resp := k.serve(r)
		q, err := url.ParseQuery(raw)
		exact := err == nil && slices.Equal(q["state"], good["state"])
		if k.redeems() != before {
			if !exact || len(q["code"]) != 1 || q.Has("error") || !slices.Equal(q["iss"], []string{"https://plain.example"}) {
				t.Fatalf("%q was redeemed", raw)
			}
		}
		if resp.StatusCode >= 500 && !exact || resp.StatusCode < 300 {
			t.Fatalf("%q: status %d", raw, resp.StatusCode)
		}
		if to := resp.Header.Get("Location"); to != "" && to != "/" {
			t.Fatalf("%q: sent to %q", raw, to)
		}
		if exact { // that one is over
			good = query(t, b.approve(b.start("plain", "/"), "ada"))
		}
	})
}

// FuzzReturnTo: a sign-in ends on our site, at the very address that was asked for or at home.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range append(corpus(f), absolute...) {
		f.Add(seed)
	}
	f.Add("/" + strings.Repeat("long/", 200))
	k := fuzzArena(f, true)
	f.Fuzz(func(t *testing.T, address string) {
		k.t = t
		b := k.browser()
		start := b.open("/auth/plain/login?" + url.Values{"return_to": {address}}.Encode())
		if start.StatusCode != http.StatusSeeOther {
			t.Fatalf("%q: status %d", address, start.StatusCode)
		}
		authURL := start.Header.Get("Location")
		if len(authURL) > 2100 {
			t.Fatalf("%q: URL of %d bytes", address, len(authURL))
		}
		to := b.back(b.approve(authURL, "ada")).Header.Get("Location")
		if !stays(to) {
			t.Fatalf("%q leads to %q", address, to)
		}
		if sent := returnpath.Encode(address); to != "/" && to != sent && !strings.HasSuffix(sent, to) && !strings.HasPrefix(to, "/?") && !strings.HasPrefix(to, "/#") {
			t.Fatalf("%q became %q", address, to)
		}
	})
}

// stays reports that browsers, which drop line breaks and tabs and take a backslash for a slash,
// stay at our origin.
func stays(to string) bool {
	to = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimLeft(to, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c \x1f"))
	return strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//")
}

// FuzzCookieHeader: no Cookie header signs in anybody but one that has the session's cookie, once
// and whole; and none is our own failure.
func FuzzCookieHeader(f *testing.F) {
	for _, seed := range []string{
		"__Host-rl=GOOD", "__Host-rl=GOOD; __Host-rl=GOOD", "a=b; __Host-rl=GOOD; c", "__Host-rl=GOOD;", "__Host-rl=GOOD;0__Host-rl=GOOD", ";;=;__Host-rl=GOOD", "__HOST-rl=GOOD",
		"\u2000__Host-rl=GOOD", "$Version=1,__Host-rl=GOOD", "=__Host-rl=GOOD", `__Host-rl="GOOD"`, "__Host-rl=GOODA", "__Host-rl=GOOD\x00", "__Host-rl =GOOD",
		"__Host-rl=SID.", "__Host-rl=.", "__Host-rl=SID.SID", "BINDING", "BINDING; BINDING", "__Host-rl=GOOD; BINDING", "__Host-rl-bind-AAAAAAAA=" + strings.Repeat("A", 43) + ".zz",
		"__Host-rl-bind-AAAAAAAA=" + strings.Repeat("A", 43) + ".zz.abcdefg.abcdef1", "__Host-rl-bind-AAAAAAAA=.", "__Host-rl-bind-=" + strings.Repeat("A", 43) + ".9999999999999999999",
	} {
		f.Add(seed)
	}
	k := fuzzArena(f, true)
	b := k.browser()
	b.signIn("plain", "ada", "/")
	good := b.session()
	sid, _, _ := strings.Cut(good, ".")
	name := b.bindings()[0]
	binding := name + "=" + b.cookies()[name]
	callback := b.approve(b.start("plain", "/"), "grace")
	f.Fuzz(func(t *testing.T, raw string) {
		k.t = t
		header := strings.NewReplacer("GOOD", good, "SID", sid, "BINDING", binding).Replace(raw)
		ask := func(target string) *http.Response {
			r := b.request(http.MethodGet, target, nil)
			r.Header["Cookie"] = []string{header}
			return k.serve(r)
		}
		if who := text(ask("/whoami")); who != nobody && (who != ada || sent(header, "__Host-rl="+good) != 1) {
			t.Fatalf("%q is %q", header, who)
		}
		if resp := ask("/auth/plain/login"); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%q: start: status %d", header, resp.StatusCode)
		}
		if resp := ask("/put?key=k&value=v"); resp.StatusCode != http.StatusOK {
			t.Fatalf("%q: write: status %d", header, resp.StatusCode)
		}
		before := k.redeems()
		if resp := ask(callback); k.redeems() != before && !strings.Contains(header, binding) || resp.StatusCode >= 500 {
			t.Fatalf("%q: callback: status %d", header, resp.StatusCode)
		}
		if k.redeems() != before {
			callback = b.approve(b.start("plain", "/"), "grace")
		}
	})
}

// sent counts the pairs of a Cookie header that are pair. The name of another cookie may end like ours.
func sent(header, pair string) int {
	n := 0
	for p := range strings.SplitSeq(header, ";") {
		if strings.TrimSpace(p) == pair {
			n++
		}
	}
	return n
}

// FuzzSessionRecord: whatever stands in a field of a session, as after a fault of the store or by
// somebody who can write to it, nothing panics; and where values are sealed, nobody is taken for
// another person.
func FuzzSessionRecord(f *testing.F) {
	type row struct {
		k       *arena
		b       *browser
		key     sessionstore.Key
		fields  []sessionstore.Field
		expires sessionstore.Record
	}
	prepare := func(seal bool) *row {
		k := fuzzArena(f, seal)
		b := k.browser()
		k.handle("/note", func(w http.ResponseWriter, r *http.Request) {
			if err := middleware.SavePage(r.Context(), "state"); err != nil {
				k.t.Error(err)
			}
			fmt.Fprint(w, middleware.PageTag(r.Context()))
		})
		k.handle("/token", func(w http.ResponseWriter, r *http.Request) {
			_, err := middleware.Token(r.Context(), "")
			fmt.Fprint(w, err == nil)
		})
		b.open("/put?key=cart&value=book")
		b.open("/note")
		b.signIn("plain", "ada", "/")
		key := k.shelf.of("session")[0]
		rec := k.shelf.rows()[key]
		x := &row{k: k, b: b, key: key, expires: rec}
		for field := range rec.All() {
			x.fields = append(x.fields, field)
		}
		return x
	}
	rows := []*row{prepare(false), prepare(true)}
	for i, x := range rows {
		for j, field := range x.fields {
			f.Add(i == 1, byte(j), []byte(field.Value))
			f.Add(i == 1, byte(j), []byte(field.Value[:len(field.Value)/2]))
			f.Add(i == 1, byte(j), []byte{})
			f.Add(i == 1, byte(j), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
		}
	}
	f.Fuzz(func(t *testing.T, seal bool, which byte, value []byte) {
		x := rows[0]
		if seal {
			x = rows[1]
		}
		x.k.t = t
		put := func(set ...sessionstore.Field) {
			change := sessionstore.Change{Mode: sessionstore.MayExist, Set: set, Expires: x.expires.Expires}
			if err := x.k.shelf.Update(t.Context(), x.key, change); err != nil {
				t.Fatal(err)
			}
		}
		changed := x.fields[int(which)%len(x.fields)]
		changed.Value = string(value)
		put(changed)
		defer func() {
			if err := x.k.shelf.Delete(t.Context(), x.key); err != nil {
				t.Fatal(err)
			}
			put(x.fields...)
		}()
		who := text(x.k.serve(x.b.request(http.MethodGet, "/whoami", nil)))
		if who != nobody && who != ada && (seal || changed.Name != "user") {
			t.Fatalf("field %s of %q: taken for %q", changed.Name, value, who)
		}
		for _, target := range []string{"/auth/status", "/get?key=cart", "/token", "/note", "/gated/x", "/auth/plain/login", "/put?key=k&value=v", "/auth/logout"} {
			if resp := x.k.serve(x.b.request(http.MethodGet, target, nil)); resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("field %s of %q: %s: status %d", changed.Name, value, target, resp.StatusCode)
			}
		}
		put(changed)
		if who = text(x.k.serve(x.b.request(http.MethodGet, "/whoami", nil))); who != nobody && who != ada && (seal || changed.Name != "user") {
			t.Fatalf("field %s of %q: taken for %q", changed.Name, value, who)
		}
	})
}

// FuzzSealedParameter: what we have sealed into a URL is refused when a byte of it is changed, left
// out or added.
func FuzzSealedParameter(f *testing.F) {
	for kind := range byte(3) {
		for _, at := range []uint16{0, 1, 2, 20, 24, 60, 90, 99, 500} {
			f.Add(kind, at, uint8(1), "A")
			f.Add(kind, at, uint8(1), "")
			f.Add(kind, at, uint8(0), "\n")
			f.Add(kind, at, uint8(0), "=")
			f.Add(kind, at, uint8(255), "")
			f.Add(kind, at, uint8(1), "+")
		}
	}
	k := fuzzArena(f, true, func(k *kit, c *middleware.Config) {
		p := k.plain.OAuth2("plain")
		p.ResponseMode = "form_post"
		c.Providers = []providers.Provider{p}
	})
	k.handle("/loginurl", func(w http.ResponseWriter, r *http.Request) {
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Scopes: []string{"videos"}}, "/")
		if err != nil {
			k.t.Error(err)
		}
		fmt.Fprint(w, to)
	})
	b := k.browser()
	good := query(f, b.approve(b.start("plain", "/"), "ada"))
	need := query(f, text(b.open("/loginurl"))).Get("need")
	f.Fuzz(func(t *testing.T, kind byte, at uint16, drop uint8, insert string) {
		k.t = t
		var whole, target string
		q := url.Values{}
		switch kind % 3 {
		case 0:
			r := httptest.NewRequest(http.MethodPost, "/auth/plain/callback", strings.NewReader(good.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			whole, target = query(t, k.location(k.serve(r))).Get("answer"), "/auth/plain/callback"
		case 1:
			whole, target = need, "/auth/plain/login"
		case 2: // the state within an answer
			whole, target = good.Get("state"), "/auth/plain/callback"
		}
		from := min(int(at), len(whole))
		changed := whole[:from] + insert + whole[min(from+int(drop), len(whole)):]
		if changed == whole || changed == "" {
			return
		}
		switch kind % 3 {
		case 0:
			q.Set("answer", changed)
		case 1:
			q.Set("need", changed)
		case 2:
			q = url.Values{"state": {changed}, "code": good["code"], "iss": good["iss"]}
		}
		before := k.redeems()
		resp := k.serve(b.callback(target + "?" + q.Encode()))
		if resp.StatusCode != http.StatusBadRequest || k.redeems() != before {
			t.Fatalf("kind %d: %q of %q: status %d", kind%3, changed, whole, resp.StatusCode)
		}
	})
}
