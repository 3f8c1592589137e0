package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// OnToken hears of every token that was renewed and every connection that has ended, once; and a panic
// in it, or in a provider, is nobody else's.
func TestOnToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var heard []string
		fall := true
		k := newKit(t, func(_ *kit, c *middleware.Config) {
			c.OnToken = func(ctx context.Context, tc *middleware.TokenChange) {
				mu.Lock()
				defer mu.Unlock()
				what := "ended"
				if tc.Token != nil {
					what = strconv.FormatBool(tc.Token.Access != "")
				}
				heard = append(heard, fmt.Sprint(tc.Account.Identity.Name, " ", tc.Provider, " ", what, " ", ctx.Err()))
				if fall {
					panic("of the app")
				}
			}
		})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		h := k.auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := middleware.Token(r.Context(), "")
			cancel()
			if err != nil {
				t.Error(err)
			}
		}))
		h.ServeHTTP(discarder{}, b.request(http.MethodGet, "/", nil).WithContext(ctx))
		synctest.Wait()
		mu.Lock()
		fall = false
		mu.Unlock()
		time.Sleep(time.Hour)
		together(10, func(int) { k.token(b, "") })
		k.plain.EndGrants("ada")
		time.Sleep(time.Hour)
		together(10, func(int) {
			if got := k.token(b, ""); !errors.Is(got.err, middleware.ErrReauthRequired) {
				t.Errorf("error %v", got.err)
			}
		})
		synctest.Wait()
		want := "[Ada Lovelace plain true <nil> Ada Lovelace plain true <nil> Ada Lovelace plain ended <nil>]"
		if got := fmt.Sprint(heard); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		if strings.Contains(k.log.String(), "of the app") {
			t.Error("the log repeats what a panic says")
		}
	})
}

// lostAnswer is a store whose n-th change is made, and reported as if it were not.
type lostAnswer struct {
	sessionstore.Store
	n    int64
	seen atomic.Int64
}

func (l *lostAnswer) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	err := l.Store.Update(ctx, k, c)
	if l.seen.Add(1) == l.n {
		return errors.New("connection lost")
	}
	return err
}

// OnToken hears of a token, too, that was saved although the store seemed to fail.
func TestOnToken_answerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		k := newKit(t, func(_ *kit, c *middleware.Config) {
			c.OnToken = func(_ context.Context, tc *middleware.TokenChange) { heard = append(heard, tc.Token.Access) }
		})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		k.auth.SetStore(&lostAnswer{Store: k.auth.Store(), n: 2}) // after the mark
		got := k.token(b, "")
		synctest.Wait()
		if got.err != nil || !slices.Equal(heard, []string{got.access}) {
			t.Errorf("error %v, heard of %d tokens, want the one", got.err, len(heard))
		}
	})
}
