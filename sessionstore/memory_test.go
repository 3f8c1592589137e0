package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

func TestMemoryContract(t *testing.T) {
	storetest.Suite{
		Open:   func(*testing.T) sessionstore.Store { return &sessionstore.Memory{MaxBytes: 4 << 20} },
		Around: synctest.Test,
		Fill:   fill,
	}.Run(t)
}

func TestSealedContract(t *testing.T) {
	storetest.Suite{
		Open: func(*testing.T) sessionstore.Store {
			m := &sessionstore.Memory{MaxBytes: 4 << 20}
			return sessionstore.Sealed(m, sessionstore.NewKeyring())
		},
		Around: synctest.Test,
		Fill:   fill,
	}.Run(t)
}

// fill makes members until there is no room for one more.
func fill(t *testing.T, s sessionstore.Store) {
	for i := 0; ; i++ {
		err := s.Update(t.Context(), sessionKey(i), create(sessionstore.Field{Name: "a", Value: strings.Repeat("x", 900)}))
		if errors.Is(err, sessionstore.ErrFull) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTrials makes 1,000 trials of each kind, or as many as RETURNLEG_TRIALS says.
func TestTrials(t *testing.T) {
	trials := 1000
	if s := os.Getenv("RETURNLEG_TRIALS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		trials = n
	}
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
			start := time.Now()
			got, err := row.trial(t.Context(), new(sessionstore.Memory), trials)
			if err != nil {
				t.Fatal(err)
			}
			if got != 0 {
				t.Errorf("got %d of %d, want 0", got, trials)
			}
			t.Logf("%d trials in %v", trials, time.Since(start).Round(time.Millisecond))
		})
	}
}

// guests returns a change that makes a guest of about a kilobyte.
func guests(life time.Duration) sessionstore.Change {
	return sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Tier:    sessionstore.Guest,
		Set:     []sessionstore.Field{{Name: "a", Value: strings.Repeat("x", 800)}},
		Expires: time.Now().Add(life),
	}
}

func members(life time.Duration) sessionstore.Change {
	c := guests(life)
	c.Tier = sessionstore.Member
	return c
}

// untilFull makes records from number i on, and returns how many there was room for.
func untilFull(t *testing.T, m *sessionstore.Memory, i int, c sessionstore.Change) int {
	t.Helper()
	for n := 0; ; n++ {
		err := m.Update(t.Context(), sessionKey(i+n), c)
		if errors.Is(err, sessionstore.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A session of a member is there, and can be made, whatever guests do.
func TestGuestsLeaveRoomForMembers(t *testing.T) {
	m := &sessionstore.Memory{MaxBytes: 1 << 20, MaxGuestBytes: 256 << 10}
	if n := untilFull(t, m, 0, guests(time.Hour)); n < 200 || n > 256 {
		t.Errorf("got room for %d guests of 1 KB in 256 KB, want 200 to 256", n)
	}
	if n := untilFull(t, m, 10_000, members(time.Hour)); n < 800 || n > 1024 {
		t.Errorf("got room for %d members of 1 KB in 1 MB, want 800 to 1024", n)
	}
	for _, i := range []int{0, 10_000} {
		if _, err := m.Load(t.Context(), sessionKey(i)); err != nil {
			t.Errorf("record %d: got error %v: evicted", i, err)
		}
	}
}

// Whoever signs in stops counting against the guests' budget, and the other way round.
func TestTierMovesTheCount(t *testing.T) {
	m := new(sessionstore.Memory)
	update := func(c sessionstore.Change) {
		t.Helper()
		if err := m.Update(t.Context(), sessionKey(1), c); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, member, guest bool) {
		t.Helper()
		members, guests := m.Used()
		if members > 0 != member || guests > 0 != guest || members < 0 || guests < 0 {
			t.Errorf("%s: got %d bytes of members and %d of guests", name, members, guests)
		}
	}
	update(guests(time.Hour))
	check("guest", false, true)
	update(sessionstore.Change{Set: []sessionstore.Field{{Name: "b", Value: "1"}}})
	check("guest, changed", false, true)
	update(sessionstore.Change{Tier: sessionstore.Member, Delete: []string{"b"}})
	check("member", true, false)
	update(sessionstore.Change{})
	check("member, changed", true, false)
	update(sessionstore.Change{Tier: sessionstore.Guest})
	check("guest again", false, true)
	update(sessionstore.Change{Expires: time.Now().Add(-time.Second)})
	check("ended", false, false)
	c := members(time.Hour)
	c.Tier = sessionstore.SameTier
	update(c)
	check("made without a tier", true, false)
	if err := m.Delete(t.Context(), sessionKey(1)); err != nil {
		t.Fatal(err)
	}
	check("deleted", false, false)
}

// A guest whose tier cannot change for want of room stays a guest.
func TestTierFull(t *testing.T) {
	m := &sessionstore.Memory{MaxBytes: 64 << 10}
	if err := m.Update(t.Context(), sessionKey(1), guests(time.Hour)); err != nil {
		t.Fatal(err)
	}
	untilFull(t, m, 10_000, members(time.Hour))
	beforeMembers, beforeGuests := m.Used()
	err := m.Update(t.Context(), sessionKey(1), sessionstore.Change{Tier: sessionstore.Member})
	if !errors.Is(err, sessionstore.ErrFull) {
		t.Errorf("got error %v, want %v", err, sessionstore.ErrFull)
	}
	members, guests := m.Used()
	if members != beforeMembers || guests != beforeGuests {
		t.Errorf("got %d and %d bytes after ErrFull, want %d and %d", members, guests, beforeMembers, beforeGuests)
	}
}

// When new records have no room any more, those that are there can still be changed: a refreshed
// token must be saved. They cannot grow for ever.
func TestReserveForRecordsThatAreThere(t *testing.T) {
	m := &sessionstore.Memory{MaxBytes: 1 << 20}
	n := untilFull(t, m, 0, members(time.Hour))
	grow := func(i, size int) error {
		return m.Update(t.Context(), sessionKey(i), sessionstore.Change{Set: []sessionstore.Field{{Name: "token", Value: strings.Repeat("t", size)}}})
	}
	for i := range 20 {
		if err := grow(i, 2000); err != nil {
			t.Errorf("record %d of %d: got error %v, want none", i, n, err)
		}
	}
	if err := grow(30, 1<<20); !errors.Is(err, sessionstore.ErrFull) {
		t.Errorf("got error %v for a record of 1 MiB, want %v", err, sessionstore.ErrFull)
	}
	if err := grow(0, 100); err != nil {
		t.Errorf("got error %v for a record that shrinks, want none", err)
	}
}

// Expired records make room, all of them, before anything is refused; those that were extended
// stay.
func TestFullReclaimsExpired(t *testing.T) {
	rows := []struct {
		name   string
		change func(life time.Duration) sessionstore.Change
	}{
		{"members", members},
		{"guests", guests},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &sessionstore.Memory{MaxBytes: 16 << 20, MaxGuestBytes: 16 << 20}
				const extended = 8000 // more in each shard than leave it in one step
				for i := range extended {
					if err := m.Update(t.Context(), sessionKey(i), row.change(time.Second)); err != nil {
						t.Fatal(err)
					}
					if err := m.Update(t.Context(), sessionKey(i), sessionstore.Change{Expires: time.Now().Add(time.Hour)}); err != nil {
						t.Fatal(err)
					}
				}
				want := untilFull(t, m, extended, row.change(2*time.Second))
				time.Sleep(2 * time.Second)
				if got := untilFull(t, m, 100_000, row.change(time.Hour)); got != want {
					t.Errorf("got room for %d after %d expired", got, want)
				}
				for i := range extended {
					if _, err := m.Load(t.Context(), sessionKey(i)); err != nil {
						t.Fatalf("record %d that was extended: %v", i, err)
					}
				}
			})
		})
	}
}

// Records that come, end and go leave nothing behind, without anybody asking for the room.
func TestExpiredLeaveByTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(sessionstore.Memory)
		for i := range 20_000 {
			if err := m.Update(t.Context(), sessionKey(i), members(time.Minute)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // 600 are alive at a time
		}
		if members, _ := m.Used(); members > 700*1100 {
			t.Errorf("got %d bytes for 600 live records of 1 KB", members)
		}
	})
}

// Whatever happened to their ends, exactly the expired records leave when room is needed.
func TestExactlyTheExpiredLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(sessionstore.Memory)
		rng := rand.New(rand.NewPCG(1, 2))
		soon := func() time.Time { return time.Now().Add(time.Duration(1+rng.IntN(1_000_000)) * time.Millisecond) }
		const records = 20_000
		for i := range records {
			c := members(time.Hour)
			c.Expires = soon()
			if err := m.Update(t.Context(), sessionKey(i), c); err != nil {
				t.Fatal(err)
			}
		}
		all, _ := m.Used()
		for i := range records {
			switch rng.IntN(4) {
			case 0:
				m.Delete(t.Context(), sessionKey(i))
			case 1:
				m.Update(t.Context(), sessionKey(i), sessionstore.Change{Expires: soon()})
			}
		}
		for range 9 {
			time.Sleep(100 * time.Second)
			m.MaxBytes = 1
			if err := m.Update(t.Context(), sessionKey(records), members(time.Hour)); !errors.Is(err, sessionstore.ErrFull) {
				t.Fatalf("got error %v, want %v", err, sessionstore.ErrFull)
			}
			live := int64(0)
			for i := range records {
				if _, err := m.Load(t.Context(), sessionKey(i)); err == nil {
					live++
				}
			}
			if got, _ := m.Used(); got != live*(all/records) {
				t.Errorf("got %d bytes for %d live records of %d bytes", got, live, all/records)
			}
		}
	})
}

// A record that has expired and has not left yet is no obstacle.
func TestExpiredCanBeMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(sessionstore.Memory)
		for range 2 {
			for i := range 5000 {
				c := members(time.Minute + time.Duration(i)) // the first to be made anew leaves first
				if err := m.Update(t.Context(), sessionKey(4999-i), c); err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// What Used says is what is there, whatever was done.
func TestUsedAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessionstore.Memory{MaxBytes: 64 << 10, MaxGuestBytes: 32 << 10}
		for i := range 20_000 {
			k := sessionKey(i * 7919 % 300)
			c := sessionstore.Change{
				Mode:    sessionstore.Mode(i % 3),
				Tier:    sessionstore.Tier(i / 3 % 3),
				Set:     []sessionstore.Field{{Name: fmt.Sprint(i % 5), Value: strings.Repeat("x", i*31%700)}},
				Expires: time.Now().Add(time.Duration(i*13%50) * time.Second),
			}
			err := m.Update(t.Context(), k, c)
			if errors.Is(err, sessionstore.ErrInvalid) {
				t.Fatal(err)
			}
			if i%17 == 0 {
				m.Delete(t.Context(), k)
			}
			time.Sleep(50 * time.Millisecond)
			members, guests := m.Used()
			if members < 0 || members > 64<<10 || guests < 0 || guests > 32<<10 {
				t.Fatalf("step %d: got %d bytes of members and %d of guests", i, members, guests)
			}
		}
		for i := range 300 {
			m.Delete(t.Context(), sessionKey(i))
		}
		if members, guests := m.Used(); members != 0 || guests != 0 {
			t.Errorf("got %d and %d bytes with nothing there, want 0", members, guests)
		}
	})
}

// An ID that is a part of something large does not keep it alive, and neither does a value.
func TestKeysAreCopied(t *testing.T) {
	m := new(sessionstore.Memory)
	before := heap()
	for i := range 64 {
		cookie := strings.Repeat(fmt.Sprintf("%022d", i), 1<<20/22)
		k := sessionstore.Key{Kind: "session", ID: cookie[:22]}
		if err := m.Update(t.Context(), k, create(sessionstore.Field{Name: "a", Value: cookie[:10]})); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("got %d bytes held by 64 small records", grown)
	}
	runtime.KeepAlive(m)
}

func TestMemoryLoadAllocatesNothing(t *testing.T) {
	m := new(sessionstore.Memory)
	k := sessionKey(1)
	if err := m.Update(t.Context(), k, create(tenFields(1)...)); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	got := testing.AllocsPerRun(100, func() {
		r, err := m.Load(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Field("key9"); !ok {
			t.Fatal("no field")
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}
