package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// A broken store is a Memory behind one mistake. The contract must find each of them.
type broken struct {
	sessionstore.Memory
	update func(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error
	load   func(b *broken, ctx context.Context, k sessionstore.Key) (sessionstore.Record, error)
}

func (b *broken) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if b.update == nil {
		return b.Memory.Update(ctx, k, c)
	}
	return b.update(b, ctx, k, c)
}

func (b *broken) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if b.load == nil {
		return b.Memory.Load(ctx, k)
	}
	return b.load(b, ctx, k)
}

// mistakes are what stores get wrong, and a test of the contract that must notice.
var mistakes = []struct {
	name  string
	store *broken
	finds string
}{
	{"blind writes", &broken{update: blind}, "writers of different fields all win"},
	{"revives", &broken{update: upsert}, "absent: must exist"},
	{"conditions ignored", &broken{update: unconditional}, "conditions hold"},
	{"overwrites on create", &broken{update: overwrite}, "present: must not exist"},
	{"never expires", &broken{update: immortal}, "a record expires"},
	{"any failure is absence", &broken{load: absent}, "a snapshot stays as it is"},
	{"text only", &broken{update: text}, "every byte in a value"},
	{"no checks", &broken{update: unchecked}, "changes that are refused"},
}

// blind reads, changes and writes back, as a store of whole values does.
func blind(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	r, err := b.Memory.Load(ctx, k)
	if err != nil || c.Mode != sessionstore.MustExist || c.Validate() != nil {
		return b.Memory.Update(ctx, k, c)
	}
	after, err := r.Apply(c)
	if err != nil {
		return err
	}
	runtime.Gosched()
	whole := sessionstore.Change{Mode: sessionstore.MayExist, Expires: after.Expires}
	for f := range after.All() {
		whole.Set = append(whole.Set, f)
	}
	for f := range r.All() {
		if _, ok := after.Field(f.Name); !ok {
			whole.Delete = append(whole.Delete, f.Name)
		}
	}
	return b.Memory.Update(ctx, k, whole)
}

func upsert(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if c.Mode == sessionstore.MustExist && !c.Expires.IsZero() {
		c.Mode = sessionstore.MayExist
	}
	return b.Memory.Update(ctx, k, c)
}

func unconditional(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	c.If = nil
	return b.Memory.Update(ctx, k, c)
}

func overwrite(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if c.Mode == sessionstore.MustNotExist {
		c.Mode = sessionstore.MayExist
	}
	return b.Memory.Update(ctx, k, c)
}

func immortal(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if !c.Expires.IsZero() {
		c.Expires = c.Expires.Add(time.Hour)
	}
	return b.Memory.Update(ctx, k, c)
}

func absent(b *broken, ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	return sessionstore.Record{}, sessionstore.ErrNotFound
}

func text(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	set := make([]sessionstore.Field, len(c.Set))
	for i, f := range c.Set {
		set[i] = f
		set[i].Value = strings.ToValidUTF8(f.Value, "\uFFFD")
	}
	c.Set = set
	return b.Memory.Update(ctx, k, c)
}

func unchecked(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if err := b.Memory.Update(ctx, k, c); !errors.Is(err, sessionstore.ErrInvalid) {
		return err
	}
	return nil
}

// TestRun waits in real time, as the tests of a store with a clock of its own do.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	storetest.Run(t, func(*testing.T) sessionstore.Store { return new(sessionstore.Memory) })
}

// TestFindsMistakes runs the contract in a process of its own for each mistake, because a test
// that fails cannot be taken back.
func TestFindsMistakes(t *testing.T) {
	const variable = "STORETEST_MISTAKE"
	for _, row := range mistakes {
		if os.Getenv(variable) == row.name {
			storetest.Suite{
				Open:   func(*testing.T) sessionstore.Store { return row.store },
				Around: synctest.Test,
			}.Run(t)
			return
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range mistakes {
		t.Run(row.name, func(t *testing.T) {
			cmd := exec.Command(self, "-test.run=^TestFindsMistakes$/^"+regexp.QuoteMeta(strings.ReplaceAll(row.finds, " ", "_"))+"$")
			cmd.Env = append(os.Environ(), variable+"="+row.name)
			out, err := cmd.CombinedOutput()
			if want := "--- FAIL: TestFindsMistakes/" + strings.ReplaceAll(row.finds, " ", "_"); err == nil || !strings.Contains(string(out), want) {
				t.Errorf("got %v and output\n%s\nwant %q", err, out, want)
			}
		})
	}
}

// TestTrialsFindMistakes shows that the counts of a store that reads, changes and writes back
// are not zero.
func TestTrialsFindMistakes(t *testing.T) {
	rows := []struct {
		name  string
		trial func(ctx context.Context, s sessionstore.Store, trials int) (int, error)
	}{
		{"lost writes", storetest.LostWrites},
		{"revived", storetest.Revived},
		{"double takes", storetest.DoubleTakes},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			n := 0
			for round := 0; n == 0 && round < 20; round++ {
				got, err := row.trial(t.Context(), &broken{update: blind}, 2000)
				if err != nil {
					t.Fatal(err)
				}
				n += got
			}
			if n == 0 {
				t.Error("got 0 of a store with blind writes, want more")
			}
		})
	}
}
