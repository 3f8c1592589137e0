package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Former is where the app's sessions are stored if it used scs before. The fields are those of
// middleware.Former.
type Former struct {
	Store            scs.Store
	Codec            scs.Codec
	Cookie           scs.SessionCookie
	HashTokenInStore bool
}

const maxKey = 128 - len(prefixApp) // bytes of the key of a session's value

// CookieName returns the name of the cookie of a former session.
func (f *Former) CookieName() string { return cmp.Or(f.Cookie.Name, "session") }

// Token returns the token in the cookie of a former session that r has. It is "" if scs cannot have made the
// token, or if r has two different ones: another site may have planted one of them.
func (f *Former) Token(r *http.Request) (t string) {
	name, ok := f.CookieName(), true
	web.Each(r, func(n, v string) bool {
		if n == name {
			ok = ok && (t == "" || t == v)
			t = v
		}
		return ok
	})
	if !ok || !keys.Token(t, 43) {
		return ""
	}
	return t
}

// key returns the key of a session in the former store.
func (f *Former) key(token string) string {
	if !f.HashTokenInStore {
		return token
	}
	h := sha256.Sum256([]byte(token))
	return keys.Text(h[:])
}

func (f *Former) find(ctx context.Context, token string) (b []byte, found bool, err error) {
	if s, ok := f.Store.(scs.CtxStore); ok {
		b, found, err = s.FindCtx(ctx, f.key(token))
	} else {
		b, found, err = f.Store.Find(f.key(token))
	}
	return b, found, f.hide(err, token)
}

func (f *Former) delete(ctx context.Context, token string) error {
	if s, ok := f.Store.(scs.CtxStore); ok {
		return f.hide(s.DeleteCtx(ctx, f.key(token)), token)
	}
	return f.hide(f.Store.Delete(f.key(token)), token)
}

// hide returns err without the key of the session, which some servers repeat in an answer.
func (f *Former) hide(err error, token string) error {
	if err == nil {
		return nil
	}
	return errors.New("middleware: former session: " + strings.ReplaceAll(err.Error(), f.key(token), "[redacted]"))
}

// values returns what the stored bytes b of a former session hold: its values as fields, its deadline, and
// whether its cookie outlives the browser.
func (f *Former) values(b []byte) (fields []sessionstore.Field, deadline time.Time, persist bool, err error) {
	var codec scs.Codec = scs.GobCodec{}
	if f.Codec != nil {
		codec = f.Codec
	}
	deadline, vs, err := codec.Decode(b)
	if err != nil {
		return nil, time.Time{}, false, fmt.Errorf("middleware: former session: %w", err)
	}
	for k, v := range vs {
		if len(k) > maxKey {
			return nil, time.Time{}, false, fmt.Errorf("middleware: former session: a key has more than %d bytes", maxKey)
		}
		frame, err := values.Append(nil, v)
		if err != nil {
			return nil, time.Time{}, false, fmt.Errorf("middleware: former session: value %q: %w", k, err)
		}
		fields = append(fields, sessionstore.Field{Name: prefixApp + k, Value: string(frame), Version: env.Version()})
	}
	persist, _ = vs[rememberMe].(bool)
	return fields, deadline.UTC().Truncate(time.Millisecond), persist, nil
}
