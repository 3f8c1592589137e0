package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// A Dialect is a kind of database.
type Dialect uint8

const (
	// Postgres is PostgreSQL, 12 or later.
	Postgres Dialect = iota + 1

	// SQLite is SQLite, 3.24 or later.
	SQLite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case Postgres:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return "unknown"
}

// detect asks db what it is. A database that does not answer is an error, never a guess.
func detect(ctx context.Context, db *sql.DB) (Dialect, error) {
	var version string
	err := db.QueryRowContext(ctx, `SELECT version()`).Scan(&version)
	if err == nil {
		if strings.HasPrefix(version, "PostgreSQL ") {
			return Postgres, nil
		}
		return 0, fmt.Errorf("sqlstore: dialect: the database is neither PostgreSQL nor SQLite")
	}
	// SQLite has no function of that name.
	if db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version) == nil {
		return SQLite, nil
	}
	return 0, fmt.Errorf("sqlstore: dialect: %w", err)
}

// statements are the texts that a Store sends. Parameters appear in the order of their numbers, which
// PostgreSQL and all drivers of SQLite then read alike: to SQLite itself, $1 is a name.
type statements struct {
	version string // of the tables
	load    string
	touch   string // locks a record that is there, and moves its end to $1 unless that is null
	create  string // makes a record that ends at $3, unless there is a row, dead or alive
	bury    string // takes away a record that has expired
	matches string // begins the list of conditions, by name
	drop    string // begins the list of fields to delete
	set     string // begins the list of fields to set, setEnd ends it
	setEnd  string
	sweep   string // takes away at most $1 expired records

	// Of many records. Each ends in "kind = ", and is completed by [inKind].
	loadAll      string
	alive        string // ends it
	removeAll    string
	beginAll     string // takes the lock of the writer; empty: there is none
	lockAll      string
	lockAllEnd   string
	versions     string
	dropAll      string // begins the list of conditions
	buryAll      string
	expired      string // ends it
	move         string // to $1
	createAll    string // begins the list of rows, createAllEnd ends it
	createAllEnd string
}

func (d Dialect) statements(prefix string) statements {
	record, field := prefix+"record", prefix+"field"
	now, began, skip := postgresNow, postgresBegan, ` FOR UPDATE SKIP LOCKED`
	if d == SQLite {
		now, began, skip = sqliteNow, sqliteNow, ``
	}
	lockEnd, begin := ` ORDER BY id FOR UPDATE`, ``
	if d == SQLite {
		lockEnd, begin = ``, `UPDATE `+record+` SET expires = expires WHERE kind = `
	}
	return statements{
		loadAll: `SELECT r.id, r.expires, f.name, f.value, f.version FROM (SELECT kind, id, expires FROM ` + record +
			` WHERE kind = `,
		alive: ` AND expires > ` + now + `) r LEFT JOIN ` + field + ` f ON f.kind = r.kind AND f.id = r.id`,
		// The rows of its fields go with a record: by a foreign key, or by a trigger.
		removeAll:    `DELETE FROM ` + record + ` WHERE kind = `,
		beginAll:     begin,
		lockAll:      `SELECT id FROM ` + record + ` WHERE kind = `,
		lockAllEnd:   ` AND expires > ` + now + lockEnd,
		dropAll:      `DELETE FROM ` + field + ` WHERE `,
		versions:     `SELECT id, name, version FROM ` + field + ` WHERE kind = `,
		buryAll:      `DELETE FROM ` + record + ` WHERE kind = `,
		expired:      ` AND expires <= ` + now,
		move:         `UPDATE ` + record + ` SET expires = $1 WHERE kind = `,
		createAll:    `INSERT INTO ` + record + ` (kind, id, expires) VALUES `,
		createAllEnd: ` ON CONFLICT (kind, id) DO NOTHING`,

		version: `SELECT version FROM ` + prefix + `schema`,
		load: `SELECT r.expires, f.name, f.value, f.version FROM ` + record + ` r` +
			` LEFT JOIN ` + field + ` f ON f.kind = r.kind AND f.id = r.id` +
			` WHERE r.kind = $1 AND r.id = $2 AND r.expires > ` + now,
		touch: `UPDATE ` + record + ` SET expires = coalesce($1, expires)` +
			` WHERE kind = $2 AND id = $3 AND expires > ` + now,
		create: `INSERT INTO ` + record + ` (kind, id, expires) VALUES ($1, $2, $3)` +
			` ON CONFLICT (kind, id) DO NOTHING`,
		bury:    `DELETE FROM ` + record + ` WHERE kind = $1 AND id = $2 AND expires <= ` + now,
		matches: `SELECT name, version FROM ` + field + ` WHERE kind = $1 AND id = $2 AND name IN (`,
		drop:    `DELETE FROM ` + field + ` WHERE kind = $1 AND id = $2 AND name IN (`,
		set:     `INSERT INTO ` + field + ` (kind, id, name, value, version) VALUES `,
		setEnd:  ` ON CONFLICT (kind, id, name) DO UPDATE SET value = excluded.value, version = excluded.version`,
		sweep: `WITH dead AS (SELECT kind, id FROM ` + record + ` WHERE expires <= ` + began +
			` ORDER BY expires LIMIT $1` + skip + `)` +
			` DELETE FROM ` + record + ` WHERE (kind, id) IN (SELECT kind, id FROM dead)`,
	}
}

// The time in milliseconds since 1970. In PostgreSQL, a statement that waited for a lock goes by the
// time at which it got it; to look up in an index takes a time that stands still, when the statement
// began. SQLite counts whole milliseconds, which most of its functions turn into a fraction of a day
// or of a second: these two parts are exact.
const (
	postgresNow   = `floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	postgresBegan = `floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint`
	sqliteNow     = `(CAST(strftime('%s', 'now') AS INTEGER) * 1000 + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER))`
)
