//go:build sql

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers "sqlite"

	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

// withSQL reports whether this program has drivers of databases in SQL. They take longer to compile than all
// other modules together, so the build tag sql adds them.
const withSQL = true

// openSQL opens the database that s names.
func openSQL(ctx context.Context, s string) (backend, error) {
	if file, ok := strings.CutPrefix(s, "sqlite:"); ok {
		return openSQLite(ctx, file)
	}
	return openPostgres(ctx, s)
}

func openSQLite(ctx context.Context, file string) (backend, error) {
	file = (&url.URL{Path: file}).EscapedPath() // a name may have ?, # and %
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return backend{}, fmt.Errorf("store: %w", err)
	}
	return openTables(ctx, db)
}

// connections are those to PostgreSQL, fewer than a server takes (100). database/sql would open one for
// each request, and keep two.
const connections = 32

func openPostgres(ctx context.Context, s string) (backend, error) {
	config, err := pgx.ParseConfig(s)
	var file *fs.PathError // such as that of a certificate
	switch {
	case errors.As(err, &file):
		return backend{}, fmt.Errorf("store: %w", file)
	case err != nil: // its text may hold a part of the password
		return backend{}, errors.New("store: STORE cannot be read as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…: a password has %40 for @, %2F for /, %3A for : and %25 for %")
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(4 * time.Minute)
	return openTables(ctx, db)
}

// openTables returns the store whose tables are in db, and makes them if they are not there.
func openTables(ctx context.Context, db *sql.DB) (backend, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	store, err := sqlstore.New(ctx, db, sqlstore.Config{})
	if err != nil {
		return backend{}, errors.Join(fmt.Errorf("store: %w", err), db.Close())
	}
	return backend{store, db.Close}, nil
}
