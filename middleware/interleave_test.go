package middleware_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// interleaving is one browser whose answers arrive late, in another order, or never.
type interleaving struct {
	t       *testing.T
	k       *kit
	b       *browser
	known   []string          // every session cookie there was
	late    []*http.Response  // answers that are on their way
	written map[string]string // key of a write that was answered 2xx: id of its session
	refused []string          // keys of those that were not
	ended   map[string]bool   // ids of sessions that were signed out, or replaced by a sign-in
	n       int
}

// arrive keeps, loses or delays an answer, as op says.
func (i *interleaving) arrive(op byte, resp *http.Response) {
	switch op % 4 {
	case 0: // lost
	case 1:
		i.late = append(i.late, resp)
	default:
		i.b.keep(resp)
	}
	if c := i.b.session(); c != "" {
		i.known = append(i.known, c)
	}
}

// post sends a form with the present cookie, or with one from before. It returns the id of the session that
// a write of it is in.
func (i *interleaving) post(op byte, target string, form url.Values) (*http.Response, string) {
	r := i.b.request(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", appURL)
	if op%3 == 0 && len(i.known) > 0 {
		r.Header.Set("Cookie", "__Host-rl="+i.known[int(op)%len(i.known)])
	}
	id := ""
	if c, err := r.Cookie("__Host-rl"); err == nil && c.Value != "" {
		id, _, _ = strings.Cut(c.Value, ".")
	}
	resp := i.k.serve(r)
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-rl" && c.MaxAge >= 0 {
			id, _, _ = strings.Cut(c.Value, ".")
		}
	}
	return resp, id
}

func (i *interleaving) write(op byte, target string) {
	i.n++
	key := fmt.Sprintf("k%d", i.n)
	resp, id := i.post(op, target, url.Values{"key": {key}, "value": {"1"}})
	switch resp.StatusCode {
	case http.StatusOK:
		i.written[key] = id
	case http.StatusConflict:
		i.refused = append(i.refused, key)
	default:
		i.t.Errorf("a write is answered %d: %s", resp.StatusCode, text(resp))
	}
	i.arrive(op/3, resp)
}

func (i *interleaving) step(op byte) {
	b, k := i.b, i.k
	switch op % 8 {
	case 0, 1:
		i.write(op/8, "/put")
	case 2:
		i.write(op/8, "/renew")
	case 3: // with a sign-in in the middle
		i.write(op/8, "/slow")
	case 4: // a sign-in
		start := b.open("/auth/plain/login?return_to=/form")
		callback := b.callback(b.approve(k.location(start), []string{"ada", "grace"}[op/8%2]))
		was, _, _ := strings.Cut(b.session(), ".")
		resp := k.serve(callback)
		for _, c := range resp.Cookies() {
			if now, _, _ := strings.Cut(c.Value, "."); c.Name == "__Host-rl" && now != was {
				i.ended[was] = true // of somebody else: it ends
			}
		}
		i.arrive(op/16, resp)
	case 5: // a page load, to the end
		b.load("/form")
	case 6: // an answer that was on its way
		if len(i.late) > 0 {
			b.keep(i.late[0])
			i.late = i.late[1:]
		}
	case 7:
		if op/8%4 != 0 {
			b.open("/form")
			return
		}
		id, _, _ := strings.Cut(b.session(), ".")
		i.ended[id] = true
		i.arrive(op/32, k.serve(b.request(http.MethodPost, "/auth/logout", nil)))
	}
}

// check looks for every write in the store.
func (i *interleaving) check() {
	has := func(id, key string) (found, there bool) {
		rec, err := i.k.store.Load(i.t.Context(), sessionstore.Key{Kind: "session", ID: id})
		if err != nil {
			return false, false
		}
		_, found = rec.Field("v:" + key)
		return found, true
	}
	for key, id := range i.written {
		if found, there := has(id, key); !found && !i.ended[id] {
			i.t.Errorf("%s was answered 2xx and is lost; the session is there: %t", key, there)
		}
	}
	for _, key := range i.refused {
		for _, c := range i.known {
			id, _, _ := strings.Cut(c, ".")
			if found, _ := has(id, key); found {
				i.t.Errorf("%s was answered 409 and is stored", key)
			}
		}
	}
	if strings.Contains(i.k.log.String(), "late_write") {
		i.t.Error("the app is blamed")
	}
}

// interleave runs a browser through what ops say.
func interleave(t *testing.T, ops []byte, change ...func(*kit, *middleware.Config)) {
	k := newKit(t, change...)
	i := &interleaving{t: t, k: k, b: k.browser(), written: map[string]string{}, ended: map[string]bool{}}
	put := func(r *http.Request) { k.auth.Sessions().Put(r.Context(), r.FormValue("key"), r.FormValue("value")) }
	k.handle("/put", func(_ http.ResponseWriter, r *http.Request) { put(r) })
	k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
		if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
			t.Error(err)
		}
		put(r)
	})
	k.handle("/slow", func(_ http.ResponseWriter, r *http.Request) {
		put(r)
		other := k.browser()
		if c, err := r.Cookie("__Host-rl"); err == nil {
			other.setCookie("__Host-rl", c.Value)
		}
		other.open("/rotate")
	})
	k.handle("/rotate", func(_ http.ResponseWriter, r *http.Request) {
		if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
			t.Error(err)
		}
	})
	k.handle("GET /form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "form ", k.auth.Sessions().Keys(r.Context()))
	})
	for _, op := range ops {
		i.step(op)
	}
	i.check()
}

// Whatever order requests with old, new and stale cookies come in, and whatever becomes of their answers: a
// write that is answered 2xx is in a session, until that is signed out; one that is answered 409 is in none.
func TestReplaced_interleaved(t *testing.T) {
	for name, runs := range map[string]int{"memory": 400, "redis": 40} {
		t.Run(name, func(t *testing.T) {
			var change []func(*kit, *middleware.Config)
			if name == "redis" {
				store, keys := realRedis(t), sessionstore.NewKeyring()
				change = append(change, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, keys })
			}
			for seed := range runs {
				rnd := rand.New(rand.NewPCG(uint64(seed), 8))
				ops := make([]byte, 8+rnd.IntN(24))
				for i := range ops {
					ops[i] = byte(rnd.Uint32())
				}
				interleave(t, ops, change...)
				if t.Failed() {
					t.Fatalf("seed %d: %v", seed, ops)
				}
			}
		})
	}
}

func FuzzReplaced(f *testing.F) {
	f.Add([]byte{0, 4, 0, 8, 5, 16, 6})
	f.Add([]byte{2, 34, 7, 3, 19, 6, 0, 24})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) <= 64 {
			interleave(t, ops)
		}
	})
}
