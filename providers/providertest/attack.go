package providertest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"
)

// Attacks returns the ways in which a hostile or broken provider answers, by group: the
// authorization answer, the exchange, the token answer, the ID token, userinfo, refreshing, and what
// it publishes. No case depends on another one.
func Attacks() []Case {
	var all []Case
	for _, group := range [][]Case{answerAttacks(), exchangeAttacks(), tokenAttacks(), idTokenAttacks(), refreshAttacks(), publishedAttacks()} {
		all = append(all, group...)
	}
	return all
}

// answerAttacks are about the authorization answer.
func answerAttacks() []Case {
	row := func(id, name string, o Outcome, f func(url.Values)) Case {
		return Case{ID: id, Name: id + " " + name, Outcome: o, Behavior: Behavior{Answer: f}}
	}
	set := func(name, v string) func(url.Values) { return func(q url.Values) { q.Set(name, v) } }
	twice := func(name, v string, first bool) func(url.Values) {
		return func(q url.Values) {
			if first {
				q[name] = append([]string{v}, q[name]...)
				return
			}
			q.Add(name, v)
		}
	}
	del := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	iss := func(f func(string) string) func(url.Values) {
		return func(q url.Values) { q.Set("iss", f(q.Get("iss"))) }
	}
	return []Case{
		row("16", "state missing", Unredeemed, del("state")),
		row("16", "state empty", Unredeemed, set("state", "")),
		row("16", "state of another sign-in", Unredeemed, set("state", "another-state")),
		row("16", "state of 64 KB", Unredeemed, set("state", strings.Repeat("s", 64<<10))),
		row("16", "state with NUL", Unredeemed, func(q url.Values) { q.Set("state", q.Get("state")+"\x00") }),
		row("16", "state with CRLF", Unredeemed, func(q url.Values) { q.Set("state", q.Get("state")+"\r\nX: y") }),
		row("16", "state not UTF-8", Unredeemed, func(q url.Values) { q.Set("state", q.Get("state")+"\xff\xfe") }),
		row("17", "state twice, good one first", Unredeemed, twice("state", "bad", false)),
		row("17", "state twice, good one last", Unredeemed, twice("state", "bad", true)),
		row("17", "code twice, good one first", Unredeemed, twice("code", "bad", false)),
		row("17", "code twice, good one last", Unredeemed, twice("code", "bad", true)),
		row("17", "iss twice, good one first", Unredeemed, twice("iss", "https://other.example", false)),
		row("17", "iss twice, good one last", Unredeemed, twice("iss", "https://other.example", true)),
		row("17", "error twice", Unredeemed, func(q url.Values) {
			q.Del("code")
			q["error"] = []string{"access_denied", "server_error"}
		}),
		row("20", "code and error together", Unredeemed, set("error", "access_denied")),
		row("21", "access_denied", Declined, AnswerError("access_denied", "")),
		row("21", "login_required", Declined, AnswerError("login_required", "")),
		row("21", "server_error", Declined, AnswerError("server_error", "try <b>again</b>")),
		row("21", "temporarily_unavailable", Declined, AnswerError("temporarily_unavailable", "")),
		row("22", "error with unknown state", Unredeemed, func(q url.Values) {
			AnswerError("access_denied", "")(q)
			q.Set("state", "another-state")
		}),
		row("22", "error with the wrong iss", Unredeemed, func(q url.Values) {
			AnswerError("access_denied", "")(q)
			q.Set("iss", "https://other.example")
		}),
		row("24", "iss missing though announced", Unredeemed, del("iss")),
		row("25", "iss of another issuer", Unredeemed, set("iss", "https://other.example")),
		row("25", "iss with a slash more", Unredeemed, iss(func(s string) string { return s + "/" })),
		row("25", "iss in upper case", Unredeemed, iss(strings.ToUpper)),
		row("25", "iss with a dot encoded", Unredeemed, iss(func(s string) string { return strings.Replace(s, ".", "%2e", 1) })),
		row("25", "iss of another scheme", Unredeemed, iss(otherScheme)),
		row("26", "tokens in the answer are not used", Either, func(q url.Values) {
			q.Set("access_token", "injected")
			q.Set("id_token", "injected")
			q.Set("response", "injected")
		}),
		row("27", "code missing", Unredeemed, del("code")),
		row("27", "code empty", Unredeemed, set("code", "")),
		row("27", "code of 64 KB", Refused, set("code", strings.Repeat("c", 64<<10))),
		row("27", "code with a parameter", Refused, set("code", "a&redirect_uri=x")),
		row("27", "code with CRLF", Refused, set("code", "a\r\nb")),
		row("27", "code with emoji", Refused, set("code", "😀")),
	}
}

// exchangeAttacks are about the request to the token endpoint: one for each code, whatever comes back.
func exchangeAttacks() []Case {
	row := func(id, name string, f Fault) Case {
		return Case{ID: id, Name: id + " " + name, Outcome: Refused, Behavior: Behavior{Token: f}}
	}
	hang := func(id, name string, f Fault) Case {
		c := row(id, name, f)
		c.Hangs = true
		return c
	}
	cases := []Case{
		row("59", "400 invalid_grant", Fail(400, "invalid_grant")),
		row("59", "401 invalid_client", Fail(401, "invalid_client")),
		row("59", "403 with an error", Fail(403, "access_denied")),
		row("59", "429", Respond(429, "application/json", `{"error":"slow_down"}`, "Retry-After", "30")),
		row("59", "500", Fail(500, "server_error")),
		row("59", "503 page", Respond(503, "text/html", "<h1>invalid_grant</h1>")),
		row("60", "connection reset", Reset),
		row("60", "answer lost", LoseAnswer),
		row("60", "answer cut off", Truncate),
		hang("65", "header never comes", Hang),
		hang("65", "body never ends", HangBody),
		hang("65", "body drips", Drip(time.Hour)),
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		n := http.StatusText(status)
		cases = append(cases,
			row("61", n+" to another host", Redirect(status, "")),
			row("61", n+" to the same host", Redirect(status, "/elsewhere")),
		)
	}
	return cases
}

// tokenAttacks are about the token answer.
func tokenAttacks() []Case {
	row := func(id, name string, o Outcome, b Behavior) Case {
		return Case{ID: id, Name: id + " " + name, Outcome: o, Behavior: b}
	}
	field := func(id, name string, o Outcome, member string, v any) Case {
		return row(id, name, o, Behavior{Fields: With(member, v)})
	}
	body := func(id, name string, f func(string) string) Case {
		return row(id, name, Refused, Behavior{Token: RewriteBody(f)})
	}
	status := func(n int) Fault { return Rewrite(func(a *Answer) { a.Status = n }) }
	noID := row("77", "no id_token", Refused, Behavior{Fields: Without("id_token")})
	twice := body("72", "id_token twice", func(s string) string { return `{"id_token":"injected",` + s[1:] })
	noID.OIDC, twice.OIDC = true, true
	return []Case{
		row("68", "error with 200", Refused, Behavior{Token: Fail(200, "invalid_grant")}),
		row("68", "error beside tokens", Refused, Behavior{Fields: With("error", "invalid_grant")}),
		row("68", "tokens with 400", Refused, Behavior{Token: status(400)}),
		row("68", "tokens with 500", Refused, Behavior{Token: status(500)}),
		row("68", "204", Refused, Behavior{Token: Respond(204, "application/json", "")}),
		row("68", "200 empty", Refused, Behavior{Token: Respond(200, "application/json", "")}),
		row("69", "access_token missing", Refused, Behavior{Fields: Without("access_token")}),
		field("69", "access_token empty", Refused, "access_token", ""),
		field("69", "access_token a number", Refused, "access_token", 17),
		field("69", "access_token an array", Refused, "access_token", []string{"a"}),
		field("69", "access_token null", Refused, "access_token", nil),
		field("69", "access_token with space", Refused, "access_token", "a b"),
		field("69", "access_token with CRLF", Refused, "access_token", "a\r\nX-Y: z"),
		field("69", "access_token with NUL", Refused, "access_token", "a\x00b"),
		row("70", "token_type missing", Refused, Behavior{Fields: Without("token_type")}),
		field("70", "token_type mac", Refused, "token_type", "mac"),
		field("70", "token_type DPoP that nobody asked for", Refused, "token_type", "DPoP"),
		field("70", "token_type bEaReR", SignedIn, "token_type", "bEaReR"),
		row("71", "expires_in missing", SignedIn, Behavior{Fields: Without("expires_in")}),
		field("71", "expires_in a string", Either, "expires_in", "3600"),
		field("71", "expires_in a fraction", Either, "expires_in", json.Number("3600.5")),
		field("71", "expires_in 0", Either, "expires_in", 0),
		field("71", "expires_in negative", Either, "expires_in", -1),
		field("71", "expires_in null", Either, "expires_in", nil),
		field("71", "expires_in 2^63", Either, "expires_in", json.Number("9223372036854775808")),
		field("71", "expires_in 1e300", Either, "expires_in", json.Number("1e300")),
		body("72", "access_token twice", func(s string) string { return `{"access_token":"injected",` + s[1:] }),
		twice,
		body("72", "ACCESS_TOKEN", func(s string) string { return strings.Replace(s, `"access_token"`, `"ACCESS_TOKEN"`, 1) }),
		body("72", "long s in access_token", func(s string) string { return strings.Replace(s, `"access_token"`, `"acce\u017fs_token"`, 1) }),
		body("72", "top-level array", func(s string) string { return "[" + s + "]" }),
		body("72", "top-level null", func(string) string { return "null" }),
		body("72", "top-level string", func(string) string { return `"tokens"` }),
		body("72", "trailing garbage", func(s string) string { return s + `{"access_token":"injected"}` }),
		body("72", "byte order mark", func(s string) string { return "\uFEFF" + s }),
		body("72", "UTF-16", utf16LE),
		body("72", "depth 20,000", func(s string) string {
			return `{"deep":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "," + s[1:]
		}),
		row("73", "200 MB", Refused, Behavior{Token: Pad(200 << 20)}),
		row("73", "gzip bomb of 4 MB", Refused, Behavior{Token: GzipBomb(4 << 20)}),
		row("73", "Content-Length lies", Refused, Behavior{Token: Truncate}),
		row("74", "text/plain", Refused, Behavior{Token: Rewrite(func(a *Answer) { a.Header.Set("Content-Type", "text/plain") })}),
		row("74", "form-encoded", Refused, Behavior{Token: Respond(200, "application/x-www-form-urlencoded", "access_token=a&token_type=bearer&expires_in=3600")}),
		row("75", "scope missing is as asked", SignedIn, Behavior{Fields: Without("scope")}),
		field("75", "scope empty", Either, "scope", ""),
		field("75", "scope narrower", SignedIn, "scope", "openid"),
		row("75", "scope wider is recorded as asked", SignedIn, Behavior{Fields: from("scope", func(d *Draft) any { return strings.Join(d.Scopes, " ") + " admin" })}),
		noID,
	}
}

// otherScheme turns http into https and back.
func otherScheme(issuer string) string {
	if rest, ok := strings.CutPrefix(issuer, "https:"); ok {
		return "http:" + rest
	}
	return "https:" + strings.TrimPrefix(issuer, "http:")
}

func utf16LE(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}
