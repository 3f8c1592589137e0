// Package sqlstore keeps records in PostgreSQL or SQLite, by way of database/sql. It brings its
// tables along and no driver: the program imports one, such as github.com/jackc/pgx/v5/stdlib or
// modernc.org/sqlite.
//
//	db, err := sql.Open("sqlite", "file:app.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
//	…
//	store, err := sqlstore.New(ctx, db, sqlstore.Config{})
//
// Package middleware seals what it keeps here, with the Keys of its Config. Whoever uses the store
// without it wraps it in [sessionstore.Sealed].
//
// With SQLite, several processes on one machine may share a file, on a local file system. Without
// WAL, readers and writers wait for each other. A database in memory is lost with its connection:
// use [sessionstore.Memory].
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// Config has the settings of a [Store]. The zero Config is good.
type Config struct {
	// Dialect is the kind of database. Zero: New asks it.
	Dialect Dialect

	// Prefix begins the name of each table: a lower-case letter, then at most 30 of a-z 0-9 _.
	// Default "returnleg_". Stores with one prefix share their records. To have them in a schema
	// of PostgreSQL, set search_path in the data source.
	Prefix string

	// Timeout bounds each call, with its wait for a connection and its attempts after others
	// were in the way; a context that ends earlier counts. Default 5 seconds. New takes as long
	// as its context allows; Sweep has this long for each step, Delete, LoadAll and UpdateAll for
	// each two hundred records of a kind. A wait
	// that SQLite was told to make itself, by busy_timeout, is not cut short: a call may take that
	// much longer.
	Timeout time.Duration
}

// check returns every mistake of c, joined.
func (c *Config) check(db *sql.DB) error {
	var errs []error
	if db == nil {
		errs = append(errs, errors.New("sqlstore: db: nil"))
	}
	if !prefixes.MatchString(c.Prefix) {
		errs = append(errs, errors.New("sqlstore: config: Prefix: want a lower-case letter, then at most 30 of a-z 0-9 _"))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("sqlstore: config: Timeout: want a positive duration"))
	}
	if c.Dialect > SQLite {
		errs = append(errs, fmt.Errorf("sqlstore: config: Dialect: %d is unknown", c.Dialect))
	}
	return errors.Join(errs...)
}

// A Store is a [sessionstore.Store] in an SQL database. Any number of processes may share one.
//
// A record is a row, and a row for each field. A load is one statement. A change is one transaction,
// whose first statement locks the record; one that only moves the end is one statement. What fails
// because others were in the way (a deadlock, a busy database) is tried again until Timeout.
//
// Records end by the database's clock. Expired ones leave by the hundred, after every 64th record
// that a Store creates, in the call that creates it; there is no goroutine. A program that creates
// few may call [Store.Sweep]. The store has no bounds of its own: [sessionstore.ErrFull] is what a
// full disk says, or SQLite's max_page_count, and tiers make no difference. A database that was not
// reached, or whose answer was lost, is [sessionstore.ErrUnavailable]; a change may then have been made
// or not. What else fails is the driver's error, wrapped.
type Store struct {
	db      *sql.DB
	say     statements
	timeout time.Duration
	options *sql.TxOptions

	// writer is a lock of one place for SQLite, which has one writer at a time: who waits here
	// gets its turn, who waits for the file must guess when to ask again. Nil: no lock.
	writer chan struct{}

	created atomic.Uint64
}

var (
	_ sessionstore.Store  = (*Store)(nil)
	_ sessionstore.Pinger = (*Store)(nil)
)

var prefixes = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// New returns a store in db, after it has made the tables or brought them up to date; of several
// processes that start at once, one does so while the others wait. Tables that a newer version of
// this package has made are an error. New leaves db as it is otherwise: its limits of connections
// are the caller's, and so is its Close. With PostgreSQL, set SetMaxOpenConns below the server's
// max_connections, and SetMaxIdleConns to the same: left alone, database/sql opens one for each call
// under way, and keeps two.
//
// An account that may not create tables will do once they are there.
func New(ctx context.Context, db *sql.DB, cfg Config) (*Store, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, "returnleg_")
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	if err := cfg.check(db); err != nil {
		return nil, err
	}
	if cfg.Dialect == 0 {
		d, err := detect(ctx, db)
		if err != nil {
			return nil, err
		}
		cfg.Dialect = d
	}
	s := &Store{db: db, say: cfg.Dialect.statements(cfg.Prefix), timeout: cfg.Timeout}
	if cfg.Dialect == SQLite {
		s.writer = make(chan struct{}, 1)
	} else {
		// Each statement must see what was committed before it: the first waits for the
		// record's lock, the next reads what the one who had it left.
		s.options = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	if err := s.migrate(ctx, cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Load implements [sessionstore.Store].
func (s *Store) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if err := k.Validate(); err != nil {
		return sessionstore.Record{}, err
	}
	var r sessionstore.Record
	err := s.attempt(ctx, "load", func(ctx context.Context) (err error) {
		r, err = s.load(ctx, k)
		return err
	})
	return r, err
}

func (s *Store) load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	rows, err := s.db.QueryContext(ctx, s.say.load, k.Kind, k.ID)
	if err != nil {
		return sessionstore.Record{}, err
	}
	defer rows.Close()
	var (
		found       bool
		expires     int64
		name, value sql.RawBytes
		version     sql.NullInt64
		fields      []sessionstore.Field
	)
	for rows.Next() {
		if err := rows.Scan(&expires, &name, &value, &version); err != nil {
			return sessionstore.Record{}, err
		}
		found = true
		if version.Valid { // or else this is the record without fields
			fields = append(fields, sessionstore.Field{Name: string(name), Value: string(value), Version: uint64(version.Int64)})
		}
	}
	// Rows that end early look like rows that ended: only without an error was nothing there.
	if err := rows.Err(); err != nil {
		return sessionstore.Record{}, err
	}
	if !found {
		return sessionstore.Record{}, sessionstore.ErrNotFound
	}
	return sessionstore.NewRecord(time.UnixMilli(expires), fields...), nil
}

// Update implements [sessionstore.Store].
func (s *Store) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var created bool
	err := again(ctx, "update", func(ctx context.Context) (err error) {
		return s.write(ctx, func() error {
			if c.Mode == sessionstore.MustExist && len(c.If)+len(c.Set)+len(c.Delete) == 0 {
				return s.touch(ctx, s.db, k, end(c.Expires))
			}
			created, err = s.change(ctx, k, &c)
			return err
		})
	})
	if err == nil && created && s.created.Add(1)%sweepEvery == 0 {
		// What fails here fails again where it matters, or is made good by the next one.
		_ = again(ctx, "sweep", func(ctx context.Context) error {
			_, err := s.sweep(ctx)
			return err
		})
	}
	return err
}

// Delete implements [sessionstore.Store]. A few keys are a statement each, so that no
// two calls wait for each other; of more, two hundred of a kind are one.
func (s *Store) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	for _, k := range ks {
		if err := k.Validate(); err != nil {
			return err
		}
	}
	parts := byKind
	if len(ks) <= fewKeys {
		parts = oneByOne
	}
	return parts(ks, func(kind string, ids []string) error {
		query, args := inKind(s.say.removeAll, nil, kind, ids)
		return s.attempt(ctx, "delete", func(ctx context.Context) error {
			return s.write(ctx, func() error {
				_, err := s.db.ExecContext(ctx, query, args...)
				return err
			})
		})
	})
}

// Ping implements [sessionstore.Pinger]: it reads the version of the tables.
func (s *Store) Ping(ctx context.Context) error {
	return s.attempt(ctx, "ping", func(ctx context.Context) error {
		var version int
		return s.db.QueryRowContext(ctx, s.say.version).Scan(&version)
	})
}

// Sweep takes away what has expired, 256 records at a time, and returns how many those were.
// It is done when there are no more, or when ctx is; several may sweep at once.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	for total := 0; ; {
		var n int
		err := s.attempt(ctx, "sweep", func(ctx context.Context) (err error) {
			n, err = s.sweep(ctx)
			return err
		})
		total += n
		if err != nil || n < sweepStep {
			return total, err
		}
	}
}

const (
	// sweepEvery is after how many creations a Store takes away up to sweepStep expired records:
	// more than it has created meanwhile, so that they do not pile up.
	sweepEvery = 64
	sweepStep  = 256
)

func (s *Store) sweep(ctx context.Context) (int, error) {
	var n int64
	err := s.write(ctx, func() error {
		r, err := s.db.ExecContext(ctx, s.say.sweep, sweepStep)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return int(n), err
}

// write runs a writer when it is its turn.
func (s *Store) write(ctx context.Context, f func() error) error {
	if s.writer == nil {
		return f()
	}
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}
