package sql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

const (
	wal = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"

	// quick is for tests that no power cut will interrupt.
	quick = "&_pragma=synchronous(OFF)"
)

// openSQLite opens a database, as a process of its own would.
func openSQLite(t testing.TB, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// newStore returns a store in db.
func newStore(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sqliteFile(t testing.TB) string { return filepath.Join(t.TempDir(), "returnleg.db") }

func TestSQLiteContract(t *testing.T) {
	rows := []struct {
		name string
		open func(t *testing.T) sessionstore.Store
	}{
		{"file", func(t *testing.T) sessionstore.Store { return newStore(t, openSQLite(t, sqliteFile(t)+wal+quick)) }},
		{"memory, one connection", func(t *testing.T) sessionstore.Store {
			db := openSQLite(t, ":memory:")
			db.SetMaxOpenConns(1)
			return newStore(t, db)
		}},
		// No WAL, and nobody waits for a lock: all is up to the store.
		{"file, rollback journal", func(t *testing.T) sessionstore.Store {
			return newStore(t, openSQLite(t, sqliteFile(t)+"?"+quick))
		}},
		{"two handles", func(t *testing.T) sessionstore.Store {
			name := sqliteFile(t) + wal + quick
			return &pair{a: newStore(t, openSQLite(t, name)), b: newStore(t, openSQLite(t, name))}
		}},
		{"sealed", func(t *testing.T) sessionstore.Store {
			return sessionstore.Sealed(newStore(t, openSQLite(t, sqliteFile(t)+wal+quick)), sessionstore.NewKeyring())
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { storetest.Run(t, row.open) })
	}
}

// A bounded store is one whose file is bounded by a pragma, on its only connection.
type bounded struct {
	*sqlstore.Store
	db *sql.DB
}

// TestSQLiteFull bounds the file, of small pages, to as many as there are.
func TestSQLiteFull(t *testing.T) {
	storetest.Suite{
		Open: func(t *testing.T) sessionstore.Store {
			db := openSQLite(t, sqliteFile(t)+"?_pragma=page_size(512)&_pragma=synchronous(OFF)")
			db.SetMaxOpenConns(1)
			return bounded{newStore(t, db), db}
		},
		Fill: func(t *testing.T, s sessionstore.Store) {
			db, pages := s.(bounded).db, 0
			if err := db.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
				t.Fatal(err)
			}
			do(t, db, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
		},
	}.Run(t)
}

func TestSQLiteTrials(t *testing.T) {
	name := sqliteFile(t) + wal + quick
	runTrials(t, &pair{a: newStore(t, openSQLite(t, name)), b: newStore(t, openSQLite(t, name))}, 300)
}

// TestSQLiteRestart closes the file in the middle of a sign-in and goes on with it in another handle.
func TestSQLiteRestart(t *testing.T) {
	name := sqliteFile(t) + wal
	k := sessionstore.Key{Kind: "session", ID: "restart"}
	before := openSQLite(t, name)
	err := newStore(t, before).Update(t.Context(), k, sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "state", Value: "on its way", Version: 1<<64 - 1}},
		Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	after := newStore(t, openSQLite(t, name))
	r, err := after.Load(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := r.Field("state"); f.Value != "on its way" || f.Version != 1<<64-1 {
		t.Errorf("got %q version %d", f.Value, f.Version)
	}
	take := sessionstore.Change{If: []sessionstore.Match{{Name: "state", Version: 1<<64 - 1}}, Delete: []string{"state"}}
	if err := after.Update(t.Context(), k, take); err != nil {
		t.Errorf("take: got error %v, want none", err)
	}
	if err := after.Update(t.Context(), k, take); !errors.Is(err, sessionstore.ErrConflict) {
		t.Errorf("second take: got error %v, want %v", err, sessionstore.ErrConflict)
	}
}

// TestSQLiteCanary looks for what was sealed in all files of the database.
func TestSQLiteCanary(t *testing.T) {
	const secret = "canary-5f1c-refresh-token"
	name := sqliteFile(t)
	db := openSQLite(t, name+wal)
	k := sessionstore.Key{Kind: "session", ID: "canary"}
	s := sessionstore.Sealed(newStore(t, db), sessionstore.NewKeyring())
	err := s.Update(t.Context(), k, sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "named", Value: secret}, {Name: "large", Value: strings.Repeat(secret, 1000)}},
		Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(t, name, secret); got != 0 {
		t.Errorf("got the secret in %d files, want none", got)
	}
	if got := found(t, name, "named"); got == 0 {
		t.Error("got no file with the name of the field: the search does not work")
	}
	r, err := s.Load(t.Context(), k)
	if f, _ := r.Field("named"); err != nil || f.Value != secret {
		t.Errorf("got a value of %d bytes and error %v, want the secret", len(f.Value), err)
	}
}

// found returns how many of the files that begin with name contain s.
func found(t *testing.T, name, s string) int {
	t.Helper()
	files, err := filepath.Glob(name + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("got files %v and error %v", files, err)
	}
	n := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(s)) {
			n++
		}
	}
	return n
}

// TestSQLiteBusy has somebody else write for as long as a call may take.
func TestSQLiteBusy(t *testing.T) {
	name := sqliteFile(t) + "?_pragma=journal_mode(WAL)"
	db := openSQLite(t, name)
	s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	k := sessionstore.Key{Kind: "session", ID: "busy"}
	c := sessionstore.Change{Mode: sessionstore.MayExist, Set: []sessionstore.Field{{Name: "a"}}, Expires: time.Now().Add(time.Hour)}
	other, err := openSQLite(t, name).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), k, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("busy: got error %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := s.Load(t.Context(), k); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("load meanwhile: got error %v, want %v", err, sessionstore.ErrNotFound)
	}
	if _, err := other.ExecContext(context.WithoutCancel(t.Context()), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), k, c); err != nil {
		t.Errorf("afterwards: got error %v, want none", err)
	}
}
