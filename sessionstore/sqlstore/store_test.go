package sqlstore_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

var key = sessionstore.Key{Kind: "session", ID: "x"}

// stateError is an error as drivers of PostgreSQL have it, codeError as one of SQLite does.
type (
	stateError string
	codeError  int
)

func (e stateError) Error() string    { return "state " + string(e) }
func (e stateError) SQLState() string { return string(e) }
func (e codeError) Error() string     { return fmt.Sprint("code ", int(e)) }
func (e codeError) Code() int         { return int(e) }

func open(t *testing.T, f *fake, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(t.Context(), f.open(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.take()
	return s
}

func TestConfig(t *testing.T) {
	rows := []struct {
		name string
		cfg  sqlstore.Config
		want string // part of the error; "" is none
	}{
		{"zero", sqlstore.Config{}, ""},
		{"all", sqlstore.Config{Dialect: sqlstore.SQLite, Prefix: "a_1", Timeout: time.Second}, ""},
		{"longest prefix", sqlstore.Config{Prefix: strings.Repeat("p", 31)}, ""},
		{"prefix too long", sqlstore.Config{Prefix: strings.Repeat("p", 32)}, "Prefix"},
		{"prefix with a quote", sqlstore.Config{Prefix: `a"; DROP TABLE x; --`}, "Prefix"},
		{"prefix with a line break", sqlstore.Config{Prefix: "a\n"}, "Prefix"},
		{"prefix in capitals", sqlstore.Config{Prefix: "App_"}, "Prefix"}, // PostgreSQL would fold it
		{"prefix that begins with a digit", sqlstore.Config{Prefix: "1a"}, "Prefix"},
		{"prefix of a schema", sqlstore.Config{Prefix: "app.x_"}, "Prefix"},
		{"negative timeout", sqlstore.Config{Timeout: -1}, "Timeout"},
		{"dialect", sqlstore.Config{Dialect: sqlstore.SQLite + 1}, "Dialect"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := sqlstore.New(t.Context(), new(fake).open(t), row.cfg)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got error %v, want %q", err, row.want)
			}
		})
	}
}

func TestConfig_everyMistakeAtOnce(t *testing.T) {
	_, err := sqlstore.New(t.Context(), nil, sqlstore.Config{Prefix: "1a", Timeout: -1, Dialect: sqlstore.SQLite + 1})
	for _, want := range []string{"db: nil", "Prefix", "Timeout", "Dialect"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in: %v", want, err)
		}
	}
}

func TestDialect(t *testing.T) {
	down := errors.New("connection refused")
	rows := []struct {
		name    string
		version any // answers of SELECT version() and sqlite_version(), or their errors
		sqlite  any
		sweeps  string // a part of what only one dialect sends; "" where New fails
	}{
		{"PostgreSQL", "PostgreSQL 15.8", stateError("42883"), "SKIP LOCKED"},
		{"SQLite", codeError(1), "3.50.4", "strftime"},
		{"MySQL", "8.0.36", errors.New("no function"), ""},
		{"no answer", down, down, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{answer: func(query string) ([][]driver.Value, error) {
				answer := any(nil)
				switch query {
				case `SELECT version()`:
					answer = row.version
				case `SELECT sqlite_version()`:
					answer = row.sqlite
				default:
					return nil, nil
				}
				if err, ok := answer.(error); ok {
					return nil, err
				}
				return [][]driver.Value{{answer}}, nil
			}}
			s, err := sqlstore.New(t.Context(), f.open(t), sqlstore.Config{})
			if row.sweeps == "" {
				if want, ok := row.version.(error); err == nil || ok && !errors.Is(err, want) {
					t.Errorf("got error %v, want one, %v if that was it", err, row.version)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := f.sent[len(f.sent)-1]; !strings.Contains(got, row.sweeps) {
				t.Errorf("got %q, want something with %q", got, row.sweeps)
			}
		})
	}
}

// Tables of a later version are named as that to an account that may not even try to make one.
func TestNewerTables(t *testing.T) {
	f := &fake{answer: func(query string) ([][]driver.Value, error) {
		switch {
		case strings.HasPrefix(query, `SELECT version FROM`):
			return [][]driver.Value{{int64(99)}}, nil
		case strings.HasPrefix(query, `CREATE`):
			return nil, stateError("42501") // insufficient_privilege
		}
		return nil, nil
	}}
	_, err := sqlstore.New(t.Context(), f.open(t), sqlstore.Config{})
	if err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("got error %v, want one that names version 99", err)
	}
}

// TestFaults fails one statement so many times.
func TestFaults(t *testing.T) {
	gone := errors.New("connection reset by peer")
	rows := []struct {
		name  string
		err   error
		times int
		want  error // nil: the call succeeds
		tries int
	}{
		{"serialization failure", stateError("40001"), 3, nil, 4},
		{"deadlock", stateError("40P01"), 3, nil, 4},
		{"lock_timeout", stateError("55P03"), 3, nil, 4},
		{"wrapped", fmt.Errorf("driver: %w", stateError("40001")), 3, nil, 4},
		{"disk full", stateError("53100"), 1, sessionstore.ErrFull, 1},
		{"read-only", stateError("25006"), 1, stateError("25006"), 1},
		{"too many connections", stateError("53300"), 1, stateError("53300"), 1},
		{"busy", codeError(5), 3, nil, 4},
		{"busy with a snapshot", codeError(5 | 2<<8), 3, nil, 4},
		{"locked", codeError(6), 3, nil, 4},
		{"full", codeError(13), 1, sessionstore.ErrFull, 1},
		{"corrupt", codeError(11), 1, codeError(11), 1},
		{"busy in words", errors.New("database is locked"), 3, nil, 4},
		{"locked in words", errors.New("database table is locked: x"), 3, nil, 4},
		{"full in words", errors.New("database or disk is full"), 1, sessionstore.ErrFull, 1},
		{"connection lost", gone, 1, gone, 1},
	}
	for _, row := range rows {
		for _, at := range []string{"UPDATE", "INSERT INTO returnleg_field", "COMMIT"} {
			t.Run(row.name+" at "+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					left, tries := row.times, 0
					f := &fake{}
					s := open(t, f, sqlstore.Config{})
					f.answer = func(query string) ([][]driver.Value, error) {
						if !strings.HasPrefix(query, at) {
							return nil, nil
						}
						if tries++; left > 0 {
							left--
							return nil, row.err
						}
						return nil, nil
					}
					err := s.Update(t.Context(), key, sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "canary"}}})
					if row.want == nil && err != nil || !errors.Is(err, row.want) || tries != row.tries {
						t.Errorf("got error %v after %d tries, want %v after %d", err, tries, row.want, row.tries)
					}
					if err != nil && (errors.Is(err, sessionstore.ErrNotFound) || strings.Contains(err.Error(), "canary")) {
						t.Errorf("got error %v", err)
					}
				})
			})
		}
	}
}

// TestTimeout finds somebody in the way for as long as it looks.
func TestTimeout(t *testing.T) {
	rows := []struct {
		name    string
		timeout time.Duration
		ctx     time.Duration
		want    time.Duration
	}{
		{"default", 0, time.Hour, 5 * time.Second},
		{"own", time.Minute, time.Hour, time.Minute},
		{"context ends earlier", time.Minute, time.Second, time.Second},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				s := open(t, f, sqlstore.Config{Timeout: row.timeout})
				f.answer = func(query string) ([][]driver.Value, error) { return nil, codeError(5) }
				ctx, cancel := context.WithTimeout(t.Context(), row.ctx)
				defer cancel()
				start := time.Now()
				_, err := s.Load(ctx, key)
				if got := time.Since(start); got != row.want {
					t.Errorf("gave up after %v, want %v", got, row.want)
				}
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, codeError(5)) || errors.Is(err, sessionstore.ErrNotFound) {
					t.Errorf("got error %v, want %v and %v", err, context.DeadlineExceeded, codeError(5))
				}
				if n := len(f.take()); n > 1200 {
					t.Errorf("got %d attempts, want fewer", n)
				}
			})
		})
	}
}

// TestTimeoutSweep finds somebody in the way of a sweep that it owes, in a call that took its time already.
func TestTimeoutSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := open(t, f, sqlstore.Config{Timeout: 5 * time.Second})
		swept := false
		f.answer = func(query string) ([][]driver.Value, error) {
			switch {
			case strings.HasPrefix(query, "INSERT INTO returnleg_record"):
				time.Sleep(3 * time.Second)
			case strings.HasPrefix(query, "WITH dead"):
				swept = true
				return nil, codeError(5)
			}
			return nil, nil
		}
		for range 64 {
			start := time.Now()
			c := sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: start.Add(time.Hour)}
			if err := s.Update(t.Context(), key, c); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got > 5*time.Second {
				t.Errorf("took %v, want at most %v", got, 5*time.Second)
			}
		}
		if !swept {
			t.Error("got no sweep")
		}
	})
}

// TestLoadCutOff checks that an answer which breaks off is no record, and no absence of one.
func TestLoadCutOff(t *testing.T) {
	reset := errors.New("connection reset by peer")
	field := []driver.Value{time.Now().Add(time.Hour).UnixMilli(), []byte("a"), []byte("1"), int64(0)}
	rows := []struct {
		name string
		rows [][]driver.Value
	}{
		{"before the first row", [][]driver.Value{{reset, nil, nil, nil}}},
		{"after the first row", [][]driver.Value{field, {reset}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{answer: func(query string) ([][]driver.Value, error) {
				if strings.Contains(query, "LEFT JOIN") {
					return slices.Clone(row.rows), nil
				}
				return nil, nil
			}}
			r, err := open(t, f, sqlstore.Config{}).Load(t.Context(), key)
			if !errors.Is(err, reset) || errors.Is(err, sessionstore.ErrNotFound) || r.Len() != 0 {
				t.Errorf("got %d fields and error %v, want none and %v", r.Len(), err, reset)
			}
		})
	}
}

// TestStatements counts what is sent.
func TestStatements(t *testing.T) {
	later := time.Now().Add(time.Hour)
	a := []sessionstore.Field{{Name: "a"}, {Name: "b"}}
	rows := []struct {
		name string
		call func(ctx context.Context, s *sqlstore.Store) error
		want string
	}{
		{"load", func(ctx context.Context, s *sqlstore.Store) error {
			if _, err := s.Load(ctx, key); !errors.Is(err, sessionstore.ErrNotFound) {
				return fmt.Errorf("got error %v, want %v", err, sessionstore.ErrNotFound)
			}
			return nil
		}, "SELECT"},
		{"move the end", func(ctx context.Context, s *sqlstore.Store) error {
			return s.Update(ctx, key, sessionstore.Change{Expires: later})
		}, "UPDATE"},
		{"set", func(ctx context.Context, s *sqlstore.Store) error {
			return s.Update(ctx, key, sessionstore.Change{Set: a})
		}, "BEGIN UPDATE INSERT COMMIT"},
		{"set and delete", func(ctx context.Context, s *sqlstore.Store) error {
			return s.Update(ctx, key, sessionstore.Change{Set: a, Delete: []string{"c", "d"}})
		}, "BEGIN UPDATE DELETE INSERT COMMIT"},
		{"create", func(ctx context.Context, s *sqlstore.Store) error {
			return s.Update(ctx, key, sessionstore.Change{Mode: sessionstore.MustNotExist, Set: a, Expires: later})
		}, "BEGIN INSERT INSERT COMMIT"},
		{"conflict", func(ctx context.Context, s *sqlstore.Store) error {
			err := s.Update(ctx, key, sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 1}}, Set: a})
			if !errors.Is(err, sessionstore.ErrConflict) {
				return fmt.Errorf("got error %v, want %v", err, sessionstore.ErrConflict)
			}
			return nil
		}, "BEGIN UPDATE SELECT ROLLBACK"},
		{"delete two", func(ctx context.Context, s *sqlstore.Store) error { return s.Delete(ctx, key, key) }, "DELETE DELETE"},
		{"ping", func(ctx context.Context, s *sqlstore.Store) error { return s.Ping(ctx) }, "SELECT"},
		{"invalid", func(ctx context.Context, s *sqlstore.Store) error {
			if err := s.Delete(ctx, key, sessionstore.Key{}); !errors.Is(err, sessionstore.ErrInvalid) {
				return fmt.Errorf("got error %v, want %v", err, sessionstore.ErrInvalid)
			}
			return nil
		}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{}
			s := open(t, f, sqlstore.Config{})
			if err := row.call(t.Context(), s); err != nil {
				t.Error(err)
			}
			if got := strings.Join(f.take(), " "); got != row.want {
				t.Errorf("got statements %q, want %q", got, row.want)
			}
		})
	}
}

// TestSweepsNowAndThen counts how often 640 creations sweep, and that a failure is not theirs.
func TestSweepsNowAndThen(t *testing.T) {
	sweeps := 0
	f := &fake{answer: func(query string) ([][]driver.Value, error) {
		if strings.HasPrefix(query, "WITH dead") {
			sweeps++
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	s := open(t, f, sqlstore.Config{})
	for range 640 {
		if err := s.Update(t.Context(), key, sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if sweeps != 10 {
		t.Errorf("got %d sweeps, want 10", sweeps)
	}
}

// Parameters first appear in the order of their numbers. To SQLite $1 is a name, and most of its drivers
// take arguments in the order in which names appear.
func TestParameters(t *testing.T) {
	for _, dialect := range []sqlstore.Dialect{sqlstore.Postgres, sqlstore.SQLite} {
		f := new(fake)
		s := open(t, f, sqlstore.Config{Dialect: dialect})
		end := time.Now().Add(time.Hour)
		fields := []sessionstore.Field{{Name: "a"}, {Name: "b"}}
		for _, mode := range []sessionstore.Mode{sessionstore.MustExist, sessionstore.MustNotExist, sessionstore.MayExist} {
			c := sessionstore.Change{Mode: mode, If: []sessionstore.Match{{Name: "c"}, {Name: "d"}}, Set: fields, Delete: []string{"e", "f"}, Expires: end}
			if err := s.Update(t.Context(), key, c); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = s.Load(t.Context(), key)
		err := errors.Join(s.Update(t.Context(), key, sessionstore.Change{Expires: end}), s.Delete(t.Context(), key))
		if _, sweep := s.Sweep(t.Context()); err != nil || sweep != nil {
			t.Fatal(err, sweep)
		}
		if len(f.sent) < 15 {
			t.Fatalf("%v: got %d statements", dialect, len(f.sent))
		}
		for _, query := range f.sent {
			for n, rest := 0, query; ; {
				_, after, ok := strings.Cut(rest, "$")
				if !ok {
					break
				}
				digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
				number, _ := strconv.Atoi(after[:digits])
				if number > n+1 {
					t.Errorf("%v: $%d appears before $%d in %s", dialect, number, n+1, query)
				}
				n, rest = max(n, number), after
			}
		}
	}
}
