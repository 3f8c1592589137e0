package providertest

import "time"

// A table keeps values until they expire, and no more than max: the oldest go first. Its owner locks.
type table[V any] struct {
	max   int
	rows  map[string]row[V]
	order []string // keys as they came
}

type row[V any] struct {
	value   V
	expires time.Time
}

// put adds a value under a key that was never used before.
func (t *table[V]) put(now time.Time, key string, v V, ttl time.Duration) {
	if t.rows == nil {
		t.rows = map[string]row[V]{}
	}
	for len(t.order) > 0 && (len(t.order) >= t.max || !t.live(now, t.order[0])) {
		delete(t.rows, t.order[0])
		t.order = t.order[1:]
	}
	t.rows[key] = row[V]{v, now.Add(ttl)}
	t.order = append(t.order, key)
}

func (t *table[V]) live(now time.Time, key string) bool {
	r, ok := t.rows[key]
	return ok && now.Before(r.expires)
}

func (t *table[V]) find(now time.Time, key string) (v V, ok bool) {
	if !t.live(now, key) {
		return v, false
	}
	return t.rows[key].value, true
}

// drop forgets a key; its place in the order is given up when it becomes the oldest.
func (t *table[V]) drop(key string) { delete(t.rows, key) }
