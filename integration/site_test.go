package integration_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// A ground is two sites that know nothing of returnleg: an app that sets one cookie of each kind and
// shows what comes back, and a provider that sends a browser to the app in every way there is.
type ground struct {
	app      string // on 127.0.0.1
	provider string // on localhost, which is another site
}

// seen is what the app saw of one request.
type seen struct {
	Method, Site, Origin string
	Cookies              []string
	Refused              bool // by http.CrossOriginProtection
}

// kinds are the app's cookies, sorted, named for their SameSite attribute.
var kinds = []string{"__Host-lax", "chips", "lax", "none", "strict", "unset"}

// without returns kinds without some.
func without(some ...string) []string {
	return slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return slices.Contains(some, k) })
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{}
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", g.home)
	app.HandleFunc("GET /leave/{way}", g.leave)
	app.HandleFunc("/callback/{then}", g.callback)
	app.HandleFunc("/landing", show)
	app.HandleFunc("/start", show)
	app.HandleFunc("GET /frame", g.frame)
	app.HandleFunc("GET /listener", listener)
	app.HandleFunc("GET /sender", sender)
	g.app = serve(t, app)

	provider := http.NewServeMux()
	provider.HandleFunc("GET /authorize/{way}", authorize)
	provider.HandleFunc("/decided/{way}", decided)
	provider.HandleFunc("GET /embed", g.embed)
	provider.HandleFunc("GET /attack", g.attack)
	g.provider = strings.Replace(serve(t, provider), "127.0.0.1", "localhost", 1)
	return g
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func (g *ground) home(w http.ResponseWriter, r *http.Request) {
	for _, attributes := range []string{
		"unset=1; Path=/; HttpOnly",
		"lax=1; Path=/; HttpOnly; SameSite=Lax",
		"strict=1; Path=/; HttpOnly; SameSite=Strict",
		"none=1; Path=/; HttpOnly; Secure; SameSite=None",
		"chips=1; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
		"__Host-lax=1; Path=/; HttpOnly; Secure; SameSite=Lax",
	} {
		w.Header().Add("Set-Cookie", attributes)
	}
	q := r.URL.Query()
	leave := "/leave/" + q.Get("way") + "?then=" + cmp.Or(q.Get("then"), "show")
	write(w, `<a id="go" href="%s">same tab</a> <a id="go-new" href="%[1]s" target="_blank" rel="noopener">new tab</a>`, leave)
}

func (g *ground) leave(w http.ResponseWriter, r *http.Request) {
	to := g.app + "/callback/" + r.FormValue("then")
	http.Redirect(w, r, g.provider+"/authorize/"+r.PathValue("way")+"?to="+url.QueryEscape(to), http.StatusSeeOther)
}

// callback shows what it saw, or goes on to the landing page in one of several ways.
func (g *ground) callback(w http.ResponseWriter, r *http.Request) {
	switch then := r.PathValue("then"); then {
	case "302":
		http.Redirect(w, r, "/landing", http.StatusFound)
	case "303":
		http.Redirect(w, r, "/landing", http.StatusSeeOther)
	case "refresh":
		write(w, `<meta http-equiv="refresh" content="0;url=/landing">`)
	case "replace":
		write(w, `<script>location.replace("/landing")</script>`)
	default:
		show(w, r)
	}
}

// authorize is the provider's front door: it answers at once, or asks a person first.
func authorize(w http.ResponseWriter, r *http.Request) {
	way, to := r.PathValue("way"), r.FormValue("to")
	switch way {
	case "redirect":
		http.Redirect(w, r, to, http.StatusFound)
	case "link":
		write(w, `<a id="allow" href="%s">Allow</a>`, to)
	case "link in a new tab":
		write(w, `<a id="allow" href="%s" target="_blank" rel="noopener">Allow</a>`, to)
	case "script":
		write(w, `<button id="allow" onclick="location.href='%s'">Allow</button>`, to)
	default:
		write(w, `<form method="post" action="/decided/%s"><input type="hidden" name="to" value="%s"><button id="allow">Allow</button></form>`,
			url.PathEscape(way), to)
	}
}

// decided is where the provider's form goes.
func decided(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("to")
	switch r.PathValue("way") {
	case "meta refresh":
		write(w, `<meta http-equiv="refresh" content="0;url=%s">`, to)
	case "form_post":
		write(w, `<form method="post" action="%s"><input type="hidden" name="code" value="1"></form><script>document.forms[0].submit()</script>`, to)
	default:
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

// show answers with what it saw of r.
func show(w http.ResponseWriter, r *http.Request) {
	s := seen{Method: r.Method, Site: r.Header.Get("Sec-Fetch-Site"), Origin: r.Header.Get("Origin"), Cookies: []string{}}
	for _, c := range r.Cookies() {
		s.Cookies = append(s.Cookies, c.Name)
	}
	slices.Sort(s.Cookies)
	s.Refused = http.NewCrossOriginProtection().Check(r) != nil
	b, err := json.Marshal(s)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, `<pre id="seen">%s</pre>`, string(b))
}

func write(w http.ResponseWriter, body string, values ...any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	for i, v := range values {
		values[i] = html.EscapeString(v.(string))
	}
	fmt.Fprintf(w, "<!doctype html><title>ground</title><body>"+body, values...)
}

// read returns what the app saw when it answered with the page that tab shows.
func read(t *testing.T, tab *chromium.Tab) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(tab.Text("#seen")), &s); err != nil {
		t.Fatalf("page of the app: %v", err)
	}
	return s
}
