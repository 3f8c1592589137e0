package middleware_test

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/returnleg/returnleg/sessionstore"
)

// bounded is a store that notes changes which nothing would end if it hung: their context has no
// deadline, and does not end with the client either.
type bounded struct {
	sessionstore.Store

	mu      sync.Mutex
	endless []string // kinds of records
}

func (s *bounded) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if _, ok := ctx.Deadline(); !ok && ctx.Done() == nil {
		s.mu.Lock()
		s.endless = append(s.endless, k.Kind)
		s.mu.Unlock()
	}
	return s.Store.Update(ctx, k, c)
}

func TestStore_noChangeWithoutEnd(t *testing.T) {
	rows := []struct {
		name string
		do   func(b *browser)
	}{
		{"sign-in", func(b *browser) { b.signIn("idp", "ada", "/") }},
		{"denied", func(b *browser) { b.back(b.deny(b.start("idp", "/"), "ada")) }},
		{"sign-out", func(b *browser) { b.signIn("idp", "ada", "/"); b.post("/auth/logout", nil) }},
		{"disconnect", func(b *browser) { b.signIn("plain", "ada", "/"); b.post("/auth/plain/disconnect", nil) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t)
			s := &bounded{Store: k.auth.Store()}
			k.auth.SetStore(s)
			k.handle("/put", func(_ http.ResponseWriter, r *http.Request) { k.auth.Sessions().Put(r.Context(), "a", "b") })
			b := k.browser()
			b.open("/put")
			row.do(b)
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.endless) > 0 {
				t.Errorf("changes that nothing ends, of %q", s.endless)
			}
		})
	}
}

// A form is read for its tag, and no further than 10 MB: parts of a longer one would fill the disk.
func TestCheckPageTag_longForm(t *testing.T) {
	rows := []struct {
		name string
		size int
		want int
	}{
		{"one that fits", 9 << 20, http.StatusOK},
		{"one that does not", 11 << 20, http.StatusRequestEntityTooLarge},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t)
			k.mux.Handle("/upload", k.auth.CheckPageTag(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			var body bytes.Buffer
			m := multipart.NewWriter(&body)
			part, err := m.CreateFormFile("file", "video")
			if err == nil {
				_, err = part.Write(make([]byte, row.size))
			}
			if err == nil {
				err = m.WriteField("page_tag", "nobody") // what a page that was made for nobody has
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			r := k.browser().request(http.MethodPost, "/upload", &body)
			r.Header.Set("Content-Type", m.FormDataContentType())
			if got := k.serve(r).StatusCode; got != row.want {
				t.Errorf("status %d, want %d", got, row.want)
			}
		})
	}
}

// The same for a form of the other kind, of which net/http keeps the error to itself.
func TestCheckPageTag_longPlainForm(t *testing.T) {
	k := newKit(t)
	k.mux.Handle("/change", k.auth.CheckPageTag(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	for size, want := range map[int]int{9 << 20: http.StatusOK, 11 << 20: http.StatusRequestEntityTooLarge} {
		r := k.browser().request(http.MethodPost, "/change", strings.NewReader("page_tag=nobody&text="+strings.Repeat("x", size)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := k.serve(r).StatusCode; got != want {
			t.Errorf("%d bytes: status %d, want %d", size, got, want)
		}
	}
}

// Forms of the kit's own addresses are small: one that is not does nothing, and says so.
func TestOwnForms_tooLong(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	for _, target := range []string{"/auth/logout", "/auth/idp/disconnect", "/auth/plain/login"} {
		for body, want := range map[string]int{
			"return_to=/" + strings.Repeat("x", 65<<10): http.StatusRequestEntityTooLarge,
			"return_to=%zz": http.StatusBadRequest,
		} {
			r := b.request(http.MethodPost, target, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if got := k.serve(r).StatusCode; got != want {
				t.Errorf("%s, %d bytes: status %d, want %d", target, len(body), got, want)
			}
		}
	}
	if got := b.whoami(); got != "Ada Lovelace" {
		t.Errorf("signed in as %q afterwards", got)
	}
}
