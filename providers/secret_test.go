package providers_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

const canary = "CANARY"

// shown returns v in every form that ends up in a log by accident.
func shown(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%b"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).InfoContext(context.Background(), "m", "v", v, "in", struct{ V any }{v})
	}
	// What cannot be encoded shows nothing.
	if j, err := json.Marshal(v); err == nil {
		b.Write(j)
	}
	if x, err := xml.Marshal(v); err == nil {
		b.Write(x)
	}
	_ = gob.NewEncoder(&b).Encode(v)
	return b.String()
}

// leaks reports whether s has a canary, as it is or in hexadecimal.
func leaks(s string) bool {
	return strings.Contains(s, canary) || strings.Contains(strings.ToUpper(s), fmt.Sprintf("%X", canary))
}

// around returns what is about the first place where s has part.
func around(s, part string) string {
	i := max(strings.Index(s, part), 0)
	return s[max(0, i-60):min(len(s), i+60)]
}

// Row 161. (%p is passed over: fmt asks no method for it.)
func TestSecret(t *testing.T) {
	if !leaks(shown(canary)) || !leaks(fmt.Sprintf("%x", canary)) {
		t.Fatal("the test finds nothing")
	}
	tok := providers.Token{Access: canary, Refresh: canary, ID: canary}
	flow := providers.Flow{State: canary, Verifier: canary, Nonce: canary}
	used := providers.GitHub("id", canary)
	if _, err := used.Begin(t.Context(), newFlow()); err != nil {
		t.Fatal(err)
	}
	v := newVisit(t, providertest.Behavior{})
	v.mustFinish()
	for name, value := range map[string]any{
		"Secret":        providers.Secret(canary),
		"OAuth2":        used,
		"OIDC":          &providers.OIDC{ID: "x", ClientSecret: canary},
		"Token":         tok,
		"*Token":        &tok,
		"tokens":        []providers.Token{tok},
		"token inside":  struct{ T *providers.Token }{&tok},
		"token by name": map[string]providers.Token{"a": tok},
		"Flow":          flow,
		"*Flow":         &flow,
	} {
		if got := shown(value); leaks(got) {
			t.Errorf("161 %s: shown in %q", name, around(got, canary))
		}
	}
	if got := shown(v.p); strings.Contains(got, providertest.ClientSecret) {
		t.Errorf("161 OIDC in use: shown in %q", around(got, providertest.ClientSecret))
	}
	if string(providers.Secret(canary)) != canary {
		t.Error("a Secret does not hold its text")
	}
}

// Row 160: whatever goes wrong, the error holds nothing that was sent or received.
func TestErrors_secrets(t *testing.T) {
	body := canary + `{"error":"` + canary + `","error_description":"` + canary + `"}`
	inJSON := `{"error":"` + canary + `","error_description":"` + canary + `","error_uri":"` + canary + `"}`
	for name, fault := range map[string]providertest.Fault{
		"refused":              providertest.Respond(400, "application/json", inJSON),
		"refused, no JSON":     providertest.Respond(400, "text/html", body),
		"error with 200":       providertest.Respond(200, "application/json", inJSON),
		"malformed":            providertest.Respond(200, "application/json", body),
		"malformed members":    providertest.Respond(200, "application/json", `{"access_token":"`+canary+` x","token_type":"`+canary+`"}`),
		"malformed type":       providertest.Respond(200, "application/json", `{"access_token":"`+canary+`","token_type":"`+canary+`"}`),
		"malformed scope":      providertest.Respond(200, "application/json", `{"access_token":"`+canary+`","token_type":"bearer","scope":"\"`+canary+`"}`),
		"malformed id_token":   providertest.Respond(200, "application/json", `{"access_token":"`+canary+`","token_type":"bearer","id_token":"`+canary+`"}`),
		"name twice":           providertest.Respond(200, "application/json", `{"`+canary+`":1,"`+canary+`":1}`),
		"redirect":             providertest.Redirect(307, "https://"+canary+"@elsewhere.example/"+canary),
		"unavailable":          providertest.Respond(503, "text/html", body),
		"reset":                providertest.Reset,
		"no HTTP":              rawAnswer(canary + " " + canary + "\r\n\r\n"),
		"status line":          rawAnswer("HTTP/1.1 " + canary + "\r\n\r\n"),
		"header":               rawAnswer("HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n"),
		"content length":       rawAnswer("HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n"),
		"transfer encoding":    rawAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + canary + "\r\n\r\n"),
		"chunk":                rawAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n"),
		"gzip that is none":    rawAnswer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n" + canary),
		"redirect to nonsense": rawAnswer("HTTP/1.1 302 Found\r\nLocation: http://%" + canary + "\r\nContent-Length: 0\r\n\r\n"),
	} {
		t.Run("160 "+name, func(t *testing.T) {
			s := providertest.NewServer(t, providertest.Config{
				Clients: []providertest.Client{{ID: "app", Secret: canary}},
			})
			p := newOIDC(s)
			p.ClientID, p.ClientSecret = "app", canary
			f := newFlow()
			f.State, f.Nonce, f.Verifier = canary+"-state", canary+"-nonce", strings.Repeat(canary, 8)
			v := &visit{t, s, p, f, t.Context()}
			a := v.answer()
			a.Set("code", canary)
			s.Set(func(b *providertest.Behavior) { b.Token, b.UserInfo, b.Revoke = fault, fault, fault })
			_, _, finish := p.Finish(v.ctx, f, a)
			_, refresh := p.Refresh(v.ctx, &providers.Token{Access: canary, Refresh: canary})
			revoke := p.Revoke(v.ctx, &providers.Token{Access: canary, Refresh: canary})
			a.Add("code", canary)
			check := p.Check(v.ctx, f, a)
			fresh := newOIDC(s)
			s.Set(func(b *providertest.Behavior) { b.Discovery = fault })
			_, begin := fresh.Begin(v.ctx, f)
			for what, err := range map[string]error{"Finish": finish, "Refresh": refresh, "Revoke": revoke, "Check": check, "Begin": begin} {
				if err == nil {
					if what == "Revoke" {
						continue // any answer of success will do
					}
					t.Errorf("%s: no error", what)
					continue
				}
				for ; err != nil; err = errors.Unwrap(err) {
					if got := err.Error() + fmt.Sprintf("%v %+v %s %q", err, err, err, err); leaks(got) {
						t.Errorf("%s: shown in %s", what, got)
					}
				}
			}
		})
	}
}

// rawAnswer writes bytes to the connection that need not be HTTP.
func rawAnswer(b string) providertest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = conn.Write([]byte(b))
		_ = conn.Close()
	}
}
