package sessionstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/returnleg/returnleg/sessionstore"
)

// pinged is a store that answers a ping with an error.
type pinged struct {
	sessionstore.Store
	err error
}

func (p pinged) Ping(context.Context) error { return p.err }

func TestPing(t *testing.T) {
	down := errors.New("down")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	sealed := func(s sessionstore.Store) *sessionstore.SealedStore {
		return sessionstore.Sealed(s, sessionstore.NewKeyring())
	}
	rows := []struct {
		name  string
		ctx   context.Context
		store sessionstore.Pinger
		want  error
	}{
		{"memory", t.Context(), new(sessionstore.Memory), nil},
		{"memory, canceled", canceled, new(sessionstore.Memory), context.Canceled},
		{"sealed asks beneath", t.Context(), sealed(pinged{err: down}), down},
		{"sealed, all well", t.Context(), sealed(pinged{}), nil},
		{"sealed, no pinger beneath", t.Context(), sealed(struct{ sessionstore.Store }{new(sessionstore.Memory)}), nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := row.store.Ping(row.ctx); !errors.Is(got, row.want) {
				t.Errorf("got error %v, want %v", got, row.want)
			}
		})
	}
}
