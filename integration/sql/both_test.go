package sql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/required"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// A pair takes turns between two stores of one database, as a load balancer does with two replicas.
type pair struct {
	a, b sessionstore.Store
	turn atomic.Uint64
}

func (p *pair) next() sessionstore.Store {
	if p.turn.Add(1)%2 == 0 {
		return p.a
	}
	return p.b
}

func (p *pair) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	return p.next().Load(ctx, k)
}

func (p *pair) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	return p.next().Update(ctx, k, c)
}

func (p *pair) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	return p.next().Delete(ctx, ks...)
}

// runTrials makes n trials of each kind, or as many as RETURNLEG_TRIALS says.
func runTrials(t *testing.T, s sessionstore.Store, n int) {
	if v := os.Getenv("RETURNLEG_TRIALS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
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
			got, err := row.trial(t.Context(), s, n)
			if err != nil || got != 0 {
				t.Errorf("got %d of %d and error %v, want 0 and none", got, n, err)
			}
			t.Logf("%d trials in %v", n, time.Since(start).Round(time.Millisecond))
		})
	}
}

// databases are what the tests below run on: each returns a new, empty database, opened once for each
// call of open.
var databases = []struct {
	name  string
	empty func(t *testing.T) (open func() *sql.DB)
	want  sqlstore.Dialect
}{
	{"SQLite", func(t *testing.T) func() *sql.DB {
		name := sqliteFile(t) + wal + quick
		return func() *sql.DB { return openSQLite(t, name) }
	}, sqlstore.SQLite},
	{"PostgreSQL", func(t *testing.T) func() *sql.DB {
		name := newDatabase(t)
		return func() *sql.DB { return openPostgres(t, name) }
	}, sqlstore.Postgres},
}

// TestStartTogether lets eight processes start on an empty database at once.
func TestStartTogether(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			open := d.empty(t)
			var wg sync.WaitGroup
			for i := range 8 {
				db := open()
				wg.Go(func() {
					s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Dialect: d.want})
					if err != nil {
						t.Errorf("New: got error %v, want none", err)
						return
					}
					k := sessionstore.Key{Kind: "test", ID: strconv.Itoa(i)}
					if err := s.Update(t.Context(), k, fresh(time.Hour)); err != nil {
						t.Errorf("Update: got error %v, want none", err)
					}
				})
			}
			wg.Wait()
			var rows, version int
			if err := open().QueryRowContext(t.Context(), `SELECT count(*), max(version) FROM returnleg_schema`).Scan(&rows, &version); err != nil {
				t.Fatal(err)
			}
			if rows != 1 || version != 1 {
				t.Errorf("got %d rows of versions, the latest %d, want one row, version 1", rows, version)
			}
		})
	}
}

// TestNewerTables refuses tables of a version that this program does not know.
func TestNewerTables(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.empty(t)()
			newStore(t, db)
			do(t, db, `UPDATE returnleg_schema SET version = 99`)
			if _, err := sqlstore.New(t.Context(), db, sqlstore.Config{}); err == nil || !strings.Contains(err.Error(), "version 99") {
				t.Errorf("got error %v, want one that names version 99", err)
			}
		})
	}
}

// TestPrefixes keeps the records of two stores of one database apart.
func TestPrefixes(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.empty(t)()
			k := sessionstore.Key{Kind: "test", ID: "x"}
			for _, prefix := range []string{"", "a_", strings.Repeat("p", 31)} {
				s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Prefix: prefix})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Update(t.Context(), k, fresh(time.Hour)); err != nil {
					t.Errorf("prefix %q: got error %v, want none", prefix, err)
				}
			}
		})
	}
}

// TestSweep checks that expired records leave with their fields, and that those alive stay.
func TestSweep(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.empty(t)()
			s := newStore(t, db)
			for i := range 600 {
				life := -time.Minute
				if i%6 == 0 {
					life = time.Hour
				}
				if err := s.Update(t.Context(), sessionstore.Key{Kind: "test", ID: strconv.Itoa(i)}, fresh(life)); err != nil {
					t.Fatal(err)
				}
			}
			if got := count(t, db, "record"); got > 100+64 {
				t.Errorf("got %d records after 600 were created, want at most the 100 alive and 64", got)
			}
			do(t, db, `UPDATE returnleg_record SET expires = 0 WHERE id <> '0'`)
			n, err := s.Sweep(t.Context())
			if err != nil || n < 99 {
				t.Errorf("Sweep: got %d and error %v, want at least 99 and none", n, err)
			}
			if r, f := count(t, db, "record"), count(t, db, "field"); r != 1 || f != 1 {
				t.Errorf("got %d records and %d fields, want one of each", r, f)
			}
		})
	}
}

// TestPingAndGone checks that a database that does not answer is never taken for one that looked.
func TestPingAndGone(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.empty(t)()
			s := newStore(t, db)
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: got error %v, want none", err)
			}
			do(t, db, `DROP TABLE returnleg_field`)
			do(t, db, `DROP TABLE returnleg_record`)
			k := sessionstore.Key{Kind: "test", ID: "x"}
			_, err := s.Load(t.Context(), k)
			rows := []struct {
				name string
				err  error
			}{
				{"load", err},
				{"update", s.Update(t.Context(), k, sessionstore.Change{})},
				{"create", s.Update(t.Context(), k, fresh(time.Hour))},
				{"delete", s.Delete(t.Context(), k)},
			}
			db.Close()
			rows = append(rows, struct {
				name string
				err  error
			}{"ping, closed", s.Ping(t.Context())})
			for _, row := range rows {
				wantUnavailable(t, row.name, row.err)
			}
		})
	}
}

// wantUnavailable checks that err is an error, and none that a store gives as an answer.
func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	for _, answer := range []error{nil, sessionstore.ErrNotFound, sessionstore.ErrExists, sessionstore.ErrConflict, sessionstore.ErrFull, sessionstore.ErrInvalid} {
		if errors.Is(err, answer) {
			t.Errorf("%s: got error %v, want one that tells of a store that is not there", what, err)
		}
	}
}

// fresh makes a record of one field.
func fresh(life time.Duration) sessionstore.Change {
	return sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "a", Value: "1"}},
		Expires: time.Now().Add(life),
	}
}

func do(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT count(*) FROM returnleg_%s`, table)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// needs skips a test that needs a program which is not there.
func needs(t testing.TB, part string, err error) {
	t.Helper()
	if err != nil {
		required.Missing(t, part, err)
	}
}
