package middleware_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// F37: somebody whose account was sealed by a key that is gone signs in, and is new. While the key is
// in the ring they are who they were, and a sign-in seals the account anew.
func TestAccount_keyGone(t *testing.T) {
	store, before, after, last := sealed{&sessionstore.Memory{}}, sessionstore.NewKeyring(), sessionstore.NewKeyring(), sessionstore.NewKeyring()
	rows := []struct {
		name  string
		keys  sessionstore.Keyring
		isNew bool
	}{
		{"first visit", before, true},
		{"the key is in second place", append(after[:1:1], before...), false},
		{"it was sealed anew by that sign-in", after, false},
		{"the key is gone", last, true},
		{"and the next visit", last, false},
	}
	for _, row := range rows {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, row.keys })
		isNew := false
		k.onLogin(func(l loginContext) error { isNew = l.login.IsNew; return nil })
		b := k.browser()
		resp := b.back(b.approve(b.start("plain", "/"), "ada"))
		if resp.StatusCode != http.StatusSeeOther || isNew != row.isNew {
			t.Errorf("%s: status %d, new %v, want 303, %v", row.name, resp.StatusCode, isNew, row.isNew)
		}
		if row.name == "the key is gone" && !strings.Contains(k.log.String(), "reason=unsealed kind=account ") {
			t.Errorf("%s: the log does not say why:\n%s", row.name, k.log)
		}
	}
}
