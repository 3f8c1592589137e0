package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
)

// migrations returns the steps from nothing to the tables of today, the n-th of which leads to
// version n. A step that was ever released stays as it is.
func (d Dialect) migrations(prefix string) [][]string {
	if d == SQLite {
		return [][]string{{
			`CREATE TABLE ` + prefix + `record (
				kind TEXT NOT NULL,
				id TEXT NOT NULL,
				expires INTEGER NOT NULL,
				PRIMARY KEY (kind, id)
			) WITHOUT ROWID`,
			`CREATE INDEX ` + prefix + `record_expires ON ` + prefix + `record (expires)`,
			`CREATE TABLE ` + prefix + `field (
				kind TEXT NOT NULL,
				id TEXT NOT NULL,
				name BLOB NOT NULL,
				value BLOB NOT NULL,
				version INTEGER NOT NULL,
				PRIMARY KEY (kind, id, name)
			) WITHOUT ROWID`,
			// Foreign keys work on connections that ask for them; triggers work on all.
			`CREATE TRIGGER ` + prefix + `record_removed AFTER DELETE ON ` + prefix + `record BEGIN
				DELETE FROM ` + prefix + `field WHERE kind = OLD.kind AND id = OLD.id;
			END`,
		}}
	}
	// Compared byte by byte, keys need no rules of a language, nor their updates.
	return [][]string{{
		`CREATE TABLE ` + prefix + `record (
			kind text COLLATE "C" NOT NULL,
			id text COLLATE "C" NOT NULL,
			expires bigint NOT NULL,
			PRIMARY KEY (kind, id)
		)`,
		`CREATE INDEX ` + prefix + `record_expires ON ` + prefix + `record (expires)`,
		`CREATE TABLE ` + prefix + `field (
			kind text COLLATE "C" NOT NULL,
			id text COLLATE "C" NOT NULL,
			name bytea NOT NULL,
			value bytea NOT NULL,
			version bigint NOT NULL,
			PRIMARY KEY (kind, id, name),
			FOREIGN KEY (kind, id) REFERENCES ` + prefix + `record ON DELETE CASCADE
		)`,
	}}
}

// migrate brings the tables up to date. It asks first without a lock, which is all that happens
// at every start but one.
func (s *Store) migrate(ctx context.Context, cfg Config) error {
	steps := cfg.Dialect.migrations(cfg.Prefix)
	var version int
	err := s.db.QueryRowContext(ctx, s.say.version).Scan(&version)
	switch {
	case err == nil && version == len(steps):
		return nil
	case err == nil && version > len(steps): // and an account without more rights would hear of those
		return fmt.Errorf("sqlstore: schema: %w", newer(version, steps))
	}
	return again(ctx, "schema", func(ctx context.Context) error {
		return s.migrateOnce(ctx, cfg.Dialect, cfg.Prefix, steps)
	})
}

// migrateOnce does in one transaction what is left to do.
func (s *Store) migrateOnce(ctx context.Context, d Dialect, prefix string, steps [][]string) error {
	tx, err := s.db.BeginTx(ctx, s.options)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	begin := []string{`CREATE TABLE IF NOT EXISTS ` + prefix + `schema (version INTEGER NOT NULL)`}
	if d == Postgres {
		// Who creates a table that somebody else is just creating gets an error: queue first.
		begin = []string{fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, lockOf(prefix)), begin[0]}
	} else {
		// SQLite lets one write, from the first statement that may.
		begin = append(begin, `UPDATE `+prefix+`schema SET version = version`)
	}
	if err := run(ctx, tx, begin); err != nil {
		return err
	}
	var version int
	err = tx.QueryRowContext(ctx, s.say.version).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = run(ctx, tx, []string{`INSERT INTO ` + prefix + `schema (version) VALUES (0)`})
	}
	if err != nil {
		return err
	}
	if version > len(steps) {
		return newer(version, steps)
	}
	for _, step := range steps[version:] {
		if err := run(ctx, tx, step); err != nil {
			return err
		}
	}
	if err := run(ctx, tx, []string{fmt.Sprintf(`UPDATE %sschema SET version = %d`, prefix, len(steps))}); err != nil {
		return err
	}
	return tx.Commit()
}

func newer(version int, steps [][]string) error {
	return fmt.Errorf("tables have version %d, this program knows %d", version, len(steps))
}

func run(ctx context.Context, tx *sql.Tx, statements []string) error {
	for _, q := range statements {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// lockOf returns the number of the lock that guards the tables of prefix.
func lockOf(prefix string) int64 {
	h := fnv.New64a()
	h.Write([]byte("returnleg/sqlstore/" + prefix))
	return int64(h.Sum64())
}
