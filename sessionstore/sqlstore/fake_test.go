package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strings"
	"sync"
	"testing"
)

// A fake is a driver without a database: it writes down what it is sent, and answers as it is told.
type fake struct {
	answer func(query string) (rows [][]driver.Value, err error)

	mu   sync.Mutex
	sent []string
}

// open returns a handle of f that ends with the test.
func (f *fake) open(t *testing.T) *sql.DB {
	db := sql.OpenDB(f)
	t.Cleanup(func() { db.Close() })
	return db
}

// take returns the first words of what was sent since it was called last.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	words := make([]string, len(f.sent))
	for i, q := range f.sent {
		words[i], _, _ = strings.Cut(strings.TrimSpace(q), " ")
	}
	f.sent = nil
	return words
}

func (f *fake) ask(query string) ([][]driver.Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, query)
	if f.answer != nil {
		if rows, err := f.answer(query); rows != nil || err != nil {
			return rows, err
		}
	}
	switch {
	case query == `SELECT version()`:
		return [][]driver.Value{{"PostgreSQL 15.8 on some machine"}}, nil
	case strings.HasPrefix(query, `SELECT version FROM`):
		return [][]driver.Value{{int64(1)}}, nil
	}
	return nil, nil
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return &fakeConn{f}, nil }
func (f *fake) Driver() driver.Driver                        { return nil }

type fakeConn struct{ f *fake }

func (c *fakeConn) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (c *fakeConn) Close() error                        { return nil }
func (c *fakeConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *fakeConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	_, err := c.f.ask("BEGIN")
	return c, err
}

func (c *fakeConn) Commit() error   { _, err := c.f.ask("COMMIT"); return err }
func (c *fakeConn) Rollback() error { _, err := c.f.ask("ROLLBACK"); return err }

func (c *fakeConn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	_, err := c.f.ask(query)
	return driver.RowsAffected(1), err
}

func (c *fakeConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.f.ask(query)
	return &fakeRows{rows: rows}, err
}

// fakeRows are rows; a row that is an error ends them with it.
type fakeRows struct{ rows [][]driver.Value }

func (r *fakeRows) Columns() []string {
	if len(r.rows) == 0 {
		return nil
	}
	return make([]string, len(r.rows[0]))
}

func (r *fakeRows) Close() error { return nil }

func (r *fakeRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	row := r.rows[0]
	r.rows = r.rows[1:]
	if err, ok := row[0].(error); ok {
		return err
	}
	copy(dest, row)
	return nil
}
