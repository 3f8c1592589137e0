package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// batches: what many records at once are, to a store that has batches and to one that is asked for each.
var batches = []contract{
	{"a batch loads what is there, in order", func(t *trial) {
		ks, ends := t.keys(250), in(time.Hour)
		var us []sessionstore.KeyedChange
		for i, k := range ks {
			if i%3 != 0 {
				c := sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: ends.Add(time.Duration(i) * time.Second),
					Set: []sessionstore.Field{versioned("a", fmt.Sprint(i), uint64(i+1)), field("b", strings.Repeat("x", i))}}
				if i%5 == 0 {
					c.Set = nil // a record without a field is one
				}
				us = append(us, sessionstore.KeyedChange{Key: k, Change: c})
			}
		}
		for i, err := range sessionstore.UpdateAll(context.Background(), t.store, us) {
			wantError(t, fmt.Sprint("UpdateAll ", i), err, nil)
		}
		rs, err := sessionstore.LoadAll(context.Background(), t.store, ks)
		wantError(t, "LoadAll", err, nil)
		if len(rs) != len(ks) {
			t.Fatalf("got %d records, want %d", len(rs), len(ks))
		}
		for i, r := range rs {
			if r.Expires.IsZero() != (i%3 == 0) {
				t.Fatalf("record %d: there: %v", i, !r.Expires.IsZero())
			}
			if i%3 == 0 {
				continue
			}
			f, ok := r.Field("a")
			if ok != (i%5 != 0) || ok && (f.Value != fmt.Sprint(i) || f.Version != uint64(i+1)) || !r.Expires.Equal(ends.Add(time.Duration(i)*time.Second)) {
				t.Fatalf("record %d: %q %d, %v", i, f.Value, f.Version, r.Expires)
			}
		}
		wantError(t, "Delete", sessionstore.DeleteAll(context.Background(), t.store, ks), nil)
		rs, err = sessionstore.LoadAll(context.Background(), t.store, ks)
		wantError(t, "LoadAll", err, nil)
		for i, r := range rs {
			if !r.Expires.IsZero() {
				t.Fatalf("record %d is there after Delete", i)
			}
		}
	}},
	{"of a batch each is judged by itself", func(t *trial) {
		ks := t.keys(7)
		ends := in(time.Hour)
		made := sessionstore.Change{Mode: sessionstore.MustNotExist, Set: []sessionstore.Field{versioned("a", "1", 7), field("b", "1")}, Expires: ends}
		for _, k := range ks[:5] {
			wantError(t, "Update", t.store.Update(context.Background(), k, made), nil)
		}
		set := []sessionstore.Field{versioned("a", "2", 8), field("c", "2")}
		later := ends.Add(time.Minute)
		rows := []struct {
			change sessionstore.Change
			want   error
			a      string // afterwards; "": the record is not there
			ends   time.Time
		}{
			{sessionstore.Change{Set: set, Delete: []string{"b"}}, nil, "2", ends},
			{sessionstore.Change{Set: set, If: []sessionstore.Match{{Name: "a", Version: 7}}, Expires: later}, nil, "2", later},
			{sessionstore.Change{Set: set, If: []sessionstore.Match{{Name: "a", Version: 9}}, Expires: later}, sessionstore.ErrConflict, "1", ends},
			{sessionstore.Change{Set: set, Mode: sessionstore.MustNotExist, Expires: later}, sessionstore.ErrExists, "1", ends},
			{sessionstore.Change{Set: set, Mode: sessionstore.MayExist, If: []sessionstore.Match{{Name: "a"}}, Expires: later}, sessionstore.ErrConflict, "1", ends},
			{sessionstore.Change{Set: set}, sessionstore.ErrNotFound, "", time.Time{}},
			{sessionstore.Change{Set: set, Mode: sessionstore.MayExist, If: []sessionstore.Match{{Name: "a"}}, Expires: later}, nil, "2", later},
		}
		us := make([]sessionstore.KeyedChange, len(rows))
		for i, row := range rows {
			us[i] = sessionstore.KeyedChange{Key: ks[i], Change: row.change}
		}
		errs := sessionstore.UpdateAll(context.Background(), t.store, us)
		for i, row := range rows {
			wantError(t, fmt.Sprint("UpdateAll ", i), errs[i], row.want)
			t.key = ks[i]
			if row.a == "" {
				t.gone()
				continue
			}
			if f, _ := t.load().Field("a"); f.Value != row.a {
				t.Errorf("row %d: got %q, want %q", i, f.Value, row.a)
			}
			t.ends(row.ends)
		}
		t.key = ks[0]
		t.holds(set...)
	}},
	{"a batch with a bad key or change", func(t *trial) {
		ks := []sessionstore.Key{t.key, {Kind: "test"}, randomKey("test")}
		_, err := sessionstore.LoadAll(context.Background(), t.store, ks)
		wantError(t, "LoadAll", err, sessionstore.ErrInvalid)
		us := []sessionstore.KeyedChange{
			{Key: ks[0], Change: fresh(field("a", "1"))}, {Key: ks[1], Change: fresh()},
			{Key: ks[2], Change: sessionstore.Change{Mode: sessionstore.MayExist}},
		}
		for i, want := range []error{nil, sessionstore.ErrInvalid, sessionstore.ErrInvalid} {
			wantError(t, fmt.Sprint("UpdateAll ", i), sessionstore.UpdateAll(context.Background(), t.store, us)[i], want)
			us[0].Change.Mode = sessionstore.MayExist
		}
		t.holds(field("a", "1"))
	}},
	{"a batch of records that have ended, or end at once", func(t *trial) {
		ks := t.keys(6)
		us := make([]sessionstore.KeyedChange, len(ks))
		for i, k := range ks {
			us[i] = sessionstore.KeyedChange{Key: k, Change: fresh(field("a", "1"))}
		}
		for i, err := range sessionstore.UpdateAll(context.Background(), t.store, us) {
			wantError(t, fmt.Sprint("UpdateAll ", i), err, nil)
		}
		for i := range us {
			us[i].Change = sessionstore.Change{Expires: time.Unix(0, 0)}
		}
		for i, err := range sessionstore.UpdateAll(context.Background(), t.store, us) {
			wantError(t, fmt.Sprint("UpdateAll ", i), err, nil)
		}
		for i := range us { // what has ended is in nobody's way
			us[i].Change = fresh(versioned("b", "2", 3))
		}
		for i, err := range sessionstore.UpdateAll(context.Background(), t.store, us) {
			wantError(t, fmt.Sprint("UpdateAll ", i), err, nil)
			t.key = ks[i]
			t.holds(versioned("b", "2", 3))
		}
	}},
}

func (t *trial) keys(n int) []sessionstore.Key {
	ks := make([]sessionstore.Key, n)
	for i := range ks {
		ks[i] = randomKey("test")
	}
	return ks
}
