package faults_test

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// kinds are those of all records that the kit makes.
var kinds = []string{"session", "account", "person", "index", "redemption", "aside", "tally"}

// stored tells which of the forms in which the kit stores things it has seen as the next version
// writes them.
type stored struct {
	w     *world
	store sessionstore.Store
	seen  map[string]bool
}

func (w *world) stored() *stored {
	w.t.Helper()
	keys, err := sessionstore.ParseKeyring(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	pool, err := redisstore.NewPool(redisstore.Server{URL: w.redis.URL(), Timeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { pool.Close() })
	store := redisstore.New(pool)
	store.Timeout = patience
	return &stored{w: w, store: sessionstore.Sealed(store, keys), seen: map[string]bool{}}
}

// look goes through all that is there.
func (s *stored) look() {
	s.w.t.Helper()
	for _, kind := range kinds {
		for _, id := range s.w.ids(kind) {
			rec, err := s.store.Load(s.w.t.Context(), sessionstore.Key{Kind: kind, ID: id})
			if errors.Is(err, sessionstore.ErrNotFound) {
				continue // it has run out
			}
			if err != nil {
				s.w.t.Fatalf("%s: %v", kind, err)
			}
			for f := range rec.All() {
				if strings.HasSuffix(f.Value, furtherText) {
					s.seen[kind+" "+form(f.Name)] = true
				}
				if strings.HasPrefix(f.Name, "g:") && strings.Count(f.Value, furtherText) == 2 {
					s.seen["token"] = true
				}
			}
			key := "rl:" + kind + ":" + id
			if name, ok := s.w.redis.Do(s.w.t, "HGET", key, "").([]byte); ok && strings.HasSuffix(string(name), " further") {
				s.seen["name of a record"] = true
			}
			if s.w.redis.Do(s.w.t, "HEXISTS", key, "~further") == int64(1) {
				s.seen["value in Redis"] = true
			}
		}
	}
}

// form returns what fields of a name have in common.
func form(name string) string {
	if i := strings.IndexByte(name, ':'); i > 0 {
		return name[:i+1]
	}
	if len(name) >= 22 { // an id, which an index or a list has for a name
		return "entry"
	}
	return name
}

// forms returns what was seen.
func (s *stored) forms() []string { return slices.Sorted(maps.Keys(s.seen)) }
