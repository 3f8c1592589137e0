package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
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
	delete func(b *broken, ctx context.Context, ks []sessionstore.Key) error
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

func (b *broken) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	if b.delete == nil {
		return b.Memory.Delete(ctx, ks...)
	}
	return b.delete(b, ctx, ks)
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
	{"looks before it judges", &broken{update: looks}, "what is not valid is refused before anything else"},
	{"gives up before it judges", &broken{delete: givesUp}, "what is not valid is refused before anything else"},
	{"a call that was given up is done", &broken{delete: pretends}, "a canceled context"},
	{"a call that was given up found nothing", &broken{load: despairs}, "a context whose time is up"},
	{"one key twice", &broken{delete: onlyOnce}, "delete many, each by itself"},
	{"its own zone", &broken{load: zoned}, "the end comes back, to the millisecond"},
	{"prolongs what is read", &broken{load: slides}, "a load leaves the end as it is"},
	{"moves the end of what exists", &broken{update: prolongs}, "present: must not exist"},
	{"ends what it refuses", &broken{update: ends}, "a conflict changes nothing, not even the end"},
	{"no deletions with MayExist", edited(func(c *sessionstore.Change) {
		if c.Mode == sessionstore.MayExist {
			c.Delete = nil
		}
	}), "present: may exist merges"},
	{"conditions are for values", edited(func(c *sessionstore.Change) {
		if len(c.Set)+len(c.Delete) == 0 {
			c.If = nil
		}
	}), "a conflict changes nothing, not even the end"},
	{"values keep the end", edited(func(c *sessionstore.Change) {
		if c.Mode == sessionstore.MustExist && len(c.Set) > 0 {
			c.Expires = time.Time{}
		}
	}), "an end moves with whatever else changes"},
	{"deletions keep the end", edited(func(c *sessionstore.Change) {
		if c.Mode == sessionstore.MustExist && len(c.Delete) > 0 {
			c.Expires = time.Time{}
		}
	}), "an end moves with whatever else changes"},
	{"conditions keep the end", edited(func(c *sessionstore.Change) {
		if c.Mode == sessionstore.MustExist && len(c.If) > 0 {
			c.Expires = time.Time{}
		}
	}), "an end moves with whatever else changes"},
	{"values revive", edited(func(c *sessionstore.Change) {
		if c.Mode == sessionstore.MustExist && len(c.Set) > 0 && !c.Expires.IsZero() {
			c.Expires = later(c.Expires)
		}
	}), "an end that has passed ends at once"},
	{"two hundred conditions", edited(func(c *sessionstore.Change) { c.If = c.If[:min(len(c.If), 200)] }), "a thousand conditions"},
	{"one condition for each name", edited(func(c *sessionstore.Change) {
		if len(c.If) == 2 && c.If[0].Name == c.If[1].Name {
			c.If = c.If[1:]
		}
	}), "conditions hold"},
	{"padded values", edited(func(c *sessionstore.Change) {
		for i := range c.Set {
			c.Set[i].Value = strings.TrimRight(c.Set[i].Value, " \x00")
		}
	}), "values that end in nothing"},
	{"versions are numbers of Lua", &broken{update: rounded}, "versions that a float takes for one"},
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

// edited is a store that makes something else of each change that is valid.
func edited(edit func(c *sessionstore.Change)) *broken {
	return &broken{update: func(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
		if c.Validate() == nil {
			c.If, c.Set = slices.Clone(c.If), slices.Clone(c.Set)
			edit(&c)
		}
		return b.Memory.Update(ctx, k, c)
	}}
}

func later(end time.Time) time.Time {
	if end.Before(time.Now()) {
		return time.Now().Add(time.Hour)
	}
	return end
}

func looks(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if _, err := b.Memory.Load(ctx, k); err != nil && c.Mode == sessionstore.MustExist {
		return err
	}
	return b.Memory.Update(ctx, k, c)
}

func givesUp(b *broken, ctx context.Context, ks []sessionstore.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.Memory.Delete(ctx, ks...)
}

func pretends(b *broken, ctx context.Context, ks []sessionstore.Key) error {
	if err := b.Memory.Delete(ctx, ks...); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func despairs(b *broken, ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	r, err := b.Memory.Load(ctx, k)
	if errors.Is(err, context.DeadlineExceeded) {
		err = sessionstore.ErrNotFound
	}
	return r, err
}

func onlyOnce(b *broken, ctx context.Context, ks []sessionstore.Key) error {
	if len(ks) == 2 && ks[0] == ks[1] {
		return errors.New("key twice in one statement")
	}
	return b.Memory.Delete(ctx, ks...)
}

func zoned(b *broken, ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	r, err := b.Memory.Load(ctx, k)
	r.Expires = r.Expires.In(time.FixedZone("", 3600))
	return r, err
}

func slides(b *broken, ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	r, err := b.Memory.Load(ctx, k)
	if err != nil {
		return r, err
	}
	return r, b.Memory.Update(ctx, k, sessionstore.Change{Expires: time.Now().Add(time.Hour)})
}

func prolongs(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	err := b.Memory.Update(ctx, k, c)
	if errors.Is(err, sessionstore.ErrExists) {
		return errors.Join(err, b.Memory.Update(ctx, k, sessionstore.Change{Expires: c.Expires}))
	}
	return err
}

func ends(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	err := b.Memory.Update(ctx, k, c)
	if errors.Is(err, sessionstore.ErrConflict) && !c.Expires.IsZero() && c.Expires.Before(time.Now()) {
		return errors.Join(err, b.Memory.Delete(ctx, k))
	}
	return err
}

// rounded compares versions as a script does that takes them for numbers.
func rounded(b *broken, ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	r, err := b.Memory.Load(ctx, k)
	if err != nil {
		return b.Memory.Update(ctx, k, c)
	}
	c.If = slices.Clone(c.If)
	for i, m := range c.If {
		if f, _ := r.Field(m.Name); float64(f.Version) == float64(m.Version) {
			c.If[i].Version = f.Version
		}
	}
	return b.Memory.Update(ctx, k, c)
}

// TestRun waits in real time, as the tests of a store with a clock of its own do.
func TestRun(t *testing.T) {
	storetest.Run(t, func(*testing.T) sessionstore.Store { return new(sessionstore.Memory) })
}

// A slow store is a Memory each of whose calls takes longer than some records of the contract live.
type slow struct{ sessionstore.Memory }

func (s *slow) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	time.Sleep(1500 * time.Millisecond)
	return s.Memory.Load(ctx, k)
}

func (s *slow) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	time.Sleep(1500 * time.Millisecond)
	return s.Memory.Update(ctx, k, c)
}

// No test of the contract is about how fast a store is, or the machine.
func TestRun_slow(t *testing.T) {
	storetest.Suite{
		Open:   func(*testing.T) sessionstore.Store { return new(slow) },
		Around: synctest.Test,
	}.Run(t)
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
