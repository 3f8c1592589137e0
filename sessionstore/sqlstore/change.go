package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A runner is a database or one transaction of it.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// maxNames is how many fields one statement names at most: far below the limits of parameters, which
// are 32,766 in SQLite and 65,535 in PostgreSQL.
const maxNames = 200

// change applies c in one transaction, and reports whether it made the record.
func (s *Store) change(ctx context.Context, k sessionstore.Key, c *sessionstore.Change) (created bool, err error) {
	tx, err := s.db.BeginTx(ctx, s.options)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // after Commit it does nothing
	created, err = s.lock(ctx, tx, k, c)
	if err != nil {
		return false, err
	}
	if err := s.judge(ctx, tx, k, c.If); err != nil {
		return false, err
	}
	if err := s.drop(ctx, tx, k, c.Delete); err != nil {
		return false, err
	}
	if err := s.set(ctx, tx, k, c.Set); err != nil {
		return false, err
	}
	return created, tx.Commit()
}

// lock takes the lock of the record's row, the first thing that a transaction does: from then on
// nobody else changes the record or its fields. It moves the record's end and judges the mode.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, k sessionstore.Key, c *sessionstore.Change) (created bool, err error) {
	for {
		if c.Mode != sessionstore.MustNotExist {
			err := s.touch(ctx, tx, k, end(c.Expires))
			if err != sessionstore.ErrNotFound || c.Mode == sessionstore.MustExist {
				return false, err
			}
		}
		n, err := affected(tx.ExecContext(ctx, s.say.create, k.Kind, k.ID, c.Expires.UnixMilli()))
		if err != nil || n == 1 {
			return n == 1, err
		}
		// There is a row. It is alive, or has expired and is in the way; or it was, and
		// somebody else has just taken it away: then begin again.
		if c.Mode == sessionstore.MustNotExist {
			err := s.touch(ctx, tx, k, sql.NullInt64{})
			if err == nil {
				return false, sessionstore.ErrExists
			}
			if err != sessionstore.ErrNotFound {
				return false, err
			}
		}
		if _, err := tx.ExecContext(ctx, s.say.bury, k.Kind, k.ID); err != nil {
			return false, err
		}
	}
}

// touch moves the end of a record that is there, unless it is null. A row that is not there is
// [sessionstore.ErrNotFound] itself.
func (s *Store) touch(ctx context.Context, db runner, k sessionstore.Key, end sql.NullInt64) error {
	n, err := affected(db.ExecContext(ctx, s.say.touch, end, k.Kind, k.ID))
	if err == nil && n == 0 {
		return sessionstore.ErrNotFound
	}
	return err
}

// judge returns [sessionstore.ErrConflict] unless every condition holds.
func (s *Store) judge(ctx context.Context, tx *sql.Tx, k sessionstore.Key, conditions []sessionstore.Match) error {
	if len(conditions) == 0 {
		return nil
	}
	versions := make(map[string]uint64)
	names := make([]string, len(conditions))
	for i := range conditions {
		names[i] = conditions[i].Name
	}
	err := inParts(names, func(names []string) error {
		query, args := list(s.say.matches, k, names)
		return collect(ctx, tx, versions, query, args)
	})
	if err != nil {
		return err
	}
	for _, m := range conditions {
		if versions[m.Name] != m.Version {
			return sessionstore.ErrConflict
		}
	}
	return nil
}

// collect adds the versions that a query finds.
func collect(ctx context.Context, tx *sql.Tx, versions map[string]uint64, query string, args []any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name []byte
		var version int64
		if err := rows.Scan(&name, &version); err != nil {
			return err
		}
		versions[string(name)] = uint64(version)
	}
	return rows.Err()
}

func (s *Store) drop(ctx context.Context, tx *sql.Tx, k sessionstore.Key, names []string) error {
	return inParts(names, func(names []string) error {
		query, args := list(s.say.drop, k, names)
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

func (s *Store) set(ctx context.Context, tx *sql.Tx, k sessionstore.Key, fields []sessionstore.Field) error {
	return inParts(fields, func(fields []sessionstore.Field) error {
		var q strings.Builder
		q.WriteString(s.say.set)
		args := append(make([]any, 0, 2+3*len(fields)), k.Kind, k.ID)
		for i, f := range fields {
			if i > 0 {
				q.WriteString(`, `)
			}
			q.WriteString(`($1, $2`)
			for range 3 {
				args = append(args, nil)
				q.WriteString(`, $` + strconv.Itoa(len(args)))
			}
			q.WriteString(`)`)
			copy(args[len(args)-3:], []any{[]byte(f.Name), []byte(f.Value), int64(f.Version)})
		}
		q.WriteString(s.say.setEnd)
		_, err := tx.ExecContext(ctx, q.String(), args...)
		return err
	})
}

// list completes a statement that ends in a list of names.
func list(query string, k sessionstore.Key, names []string) (string, []any) {
	var q strings.Builder
	q.WriteString(query)
	args := append(make([]any, 0, 2+len(names)), k.Kind, k.ID)
	for i, name := range names {
		if i > 0 {
			q.WriteString(`, `)
		}
		args = append(args, []byte(name))
		q.WriteString(`$` + strconv.Itoa(len(args)))
	}
	q.WriteString(`)`)
	return q.String(), args
}

// inParts calls f with at most maxNames of all at a time, until it fails.
func inParts[T any](all []T, f func(part []T) error) error {
	for len(all) > 0 {
		n := min(len(all), maxNames)
		if err := f(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// end returns t as the tables have it; null is no change.
func end(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}
