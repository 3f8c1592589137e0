package storetest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// limits: what a store must take, what it must refuse, and that a refusal changes nothing.
var limits = []contract{
	{"longest key and name", func(t *trial) {
		name := strings.Repeat("n", 128)
		t.key = sessionstore.Key{Kind: strings.Repeat("k", 16), ID: (t.key.ID + strings.Repeat("-_", 32))[:64]}
		t.update(fresh(field(name, "1")), nil)
		t.holds(field(name, "1"))
		t.delete()
		t.gone()
	}},
	{"keys that are refused", func(t *trial) {
		for _, k := range []sessionstore.Key{
			{Kind: "", ID: "x"},
			{Kind: "Session", ID: "x"},
			{Kind: "a1", ID: "x"},
			{Kind: strings.Repeat("k", 17), ID: "x"},
			{Kind: "test", ID: ""},
			{Kind: "test", ID: strings.Repeat("i", 65)},
			{Kind: "test", ID: "a:b"},
			{Kind: "test", ID: "a\x00"},
			{Kind: "test", ID: "ä"},
			{Kind: "test", ID: "{a}"},
		} {
			_, err := t.store.Load(context.Background(), k)
			wantError(t, "Load", err, sessionstore.ErrInvalid)
			wantError(t, "Update", t.store.Update(context.Background(), k, fresh()), sessionstore.ErrInvalid)
			wantError(t, "Delete", t.store.Delete(context.Background(), k), sessionstore.ErrInvalid)
		}
	}},
	{"delete with one bad key deletes none", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		wantError(t, "Delete", t.store.Delete(context.Background(), t.key, sessionstore.Key{Kind: "test"}), sessionstore.ErrInvalid)
		t.holds(field("a", "1"))
	}},
	{"changes that are refused", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		b, long := field("b", "2"), strings.Repeat("n", 129)
		for _, c := range []sessionstore.Change{
			{Mode: 3, Set: []sessionstore.Field{b}, Expires: in(time.Hour)},
			{Tier: 3, Set: []sessionstore.Field{b}},
			{Mode: sessionstore.MayExist, Set: []sessionstore.Field{b}}, // might create a record without an end
			{Set: []sessionstore.Field{b, field("", "2")}},
			{Set: []sessionstore.Field{b, field(long, "2")}},
			{Set: []sessionstore.Field{b, field("b", "3")}},
			{Set: []sessionstore.Field{b}, Delete: []string{"a", ""}},
			{Set: []sessionstore.Field{b}, Delete: []string{"a", long}},
			{Set: []sessionstore.Field{b}, Delete: []string{"a", "a"}},
			{Set: []sessionstore.Field{b}, Delete: []string{"a", "b"}},
			{Set: append(numbered(40), b, field("7", "again"))},
			{Set: append(numbered(40), b), Delete: []string{"7"}},
			{Set: []sessionstore.Field{b}, If: []sessionstore.Match{{Name: ""}}},
			{Set: []sessionstore.Field{b}, If: []sessionstore.Match{{Name: long}}},
			{Set: []sessionstore.Field{b}, Expires: time.Unix(-1, 0)},
			{Set: []sessionstore.Field{b}, Expires: time.Date(10000, 1, 2, 0, 0, 0, 0, time.UTC)},
		} {
			t.update(c, sessionstore.ErrInvalid)
		}
		t.holds(field("a", "1"))
	}},
	{"what is not valid is refused before anything else", func(t *trial) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		bad := sessionstore.Key{Kind: "test", ID: "a:b"}
		_, err := t.store.Load(ctx, bad)
		wantError(t, "Load", err, sessionstore.ErrInvalid)
		wantError(t, "Update", t.store.Update(ctx, bad, fresh()), sessionstore.ErrInvalid)
		wantError(t, "Delete", t.store.Delete(ctx, bad), sessionstore.ErrInvalid)
		c := sessionstore.Change{Set: []sessionstore.Field{field("", "1")}} // and the record is not there
		wantError(t, "Update", t.store.Update(ctx, t.key, c), sessionstore.ErrInvalid)
		t.update(c, sessionstore.ErrInvalid)
	}},
	{"a canceled context", func(t *trial) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		t.abandoned(ctx)
	}},
	{"a context whose time is up", func(t *trial) {
		ctx, cancel := context.WithDeadline(context.Background(), in(-time.Minute))
		defer cancel()
		t.abandoned(ctx)
	}},
	{"tiers may change", func(t *trial) {
		c := fresh(field("a", "1"))
		c.Tier = sessionstore.Guest
		t.update(c, nil)
		for _, tier := range []sessionstore.Tier{sessionstore.SameTier, sessionstore.Member, sessionstore.Guest, sessionstore.Member} {
			t.update(sessionstore.Change{Tier: tier}, nil)
			t.holds(field("a", "1"))
		}
	}},
}

// abandoned calls every method with a context that has ended. A store may look at it or not; what it
// must not do is to say that it looked for the record, or did something, when it did not.
func (t *trial) abandoned(ctx context.Context) {
	check := func(method string, err error) (done bool) {
		if err != nil && !errors.Is(err, ctx.Err()) {
			t.Errorf("%s: got error %v, want %v or none", method, err, ctx.Err())
		}
		return err == nil
	}
	if check("Update of a new record", t.store.Update(ctx, t.key, fresh(field("a", "1")))) {
		t.holds(field("a", "1"))
	}
	t.delete()
	t.update(fresh(field("a", "1")), nil)
	_, err := t.store.Load(ctx, t.key)
	check("Load", err)
	done := check("Update", t.store.Update(ctx, t.key, sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}}))
	if f, _ := t.load().Field("a"); done && f.Value != "2" || f.Value != "1" && f.Value != "2" {
		t.Errorf("got value %q after an update that was made: %v", f.Value, done)
	}
	if check("Delete", t.store.Delete(ctx, t.key)) {
		t.gone()
	}
}

// numbered returns n fields, "0", "1" and so on.
func numbered(n int) []sessionstore.Field {
	fields := make([]sessionstore.Field, n)
	for i := range fields {
		fields[i] = field(strconv.Itoa(i), "x")
	}
	return fields
}

// bounds: a full store says so, keeps what it has, and takes more when there is room again.
var bounds = []contract{
	{"full: nothing is made", func(t *trial) {
		t.suite.Fill(t.T, t.store)
		t.update(fresh(field("a", strings.Repeat("x", 1000))), sessionstore.ErrFull)
		t.gone()
	}},
	{"full: what is there stays, whole", func(t *trial) {
		c := fresh(versioned("a", "1", 7), field("b", "1"))
		t.update(c, nil)
		t.suite.Fill(t.T, t.store)
		t.update(sessionstore.Change{
			If:      []sessionstore.Match{{Name: "a", Version: 7}},
			Set:     []sessionstore.Field{versioned("a", strings.Repeat("x", 1<<20), 8)},
			Delete:  []string{"b"},
			Expires: in(2 * time.Hour),
		}, sessionstore.ErrFull)
		t.holds(versioned("a", "1", 7), field("b", "1"))
		if got := t.load().Expires; !got.Equal(c.Expires) {
			t.Errorf("got end %v, want %v", got, c.Expires)
		}
	}},
	{"full: what is there may go", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		t.suite.Fill(t.T, t.store)
		t.delete()
		t.gone()
	}},
}
