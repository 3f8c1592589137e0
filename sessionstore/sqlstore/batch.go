package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

var (
	_ sessionstore.BatchLoader  = (*Store)(nil)
	_ sessionstore.BatchUpdater = (*Store)(nil)
)

// batch is how many records one statement is about at most.
const batch = 200

// fewKeys are deleted one by one.
const fewKeys = 4

// errRaced is a batch that met another change of one of its records.
var errRaced = errors.New("sqlstore: a record was made meanwhile")

// LoadAll implements [sessionstore.BatchLoader]. It is one statement for each two hundred records.
func (s *Store) LoadAll(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	for _, k := range ks {
		if err := k.Validate(); err != nil {
			return nil, err
		}
	}
	found := make(map[sessionstore.Key]sessionstore.Record, len(ks))
	err := byKind(ks, func(kind string, ids []string) error {
		return s.attempt(ctx, "load", func(ctx context.Context) error { return s.loadAll(ctx, kind, ids, found) })
	})
	if err != nil {
		return nil, err
	}
	rs := make([]sessionstore.Record, len(ks))
	for i, k := range ks {
		rs[i] = found[k]
	}
	return rs, nil
}

func (s *Store) loadAll(ctx context.Context, kind string, ids []string, found map[sessionstore.Key]sessionstore.Record) error {
	query, args := inKind(s.say.loadAll, nil, kind, ids)
	rows, err := s.db.QueryContext(ctx, query+s.say.alive, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	fields, ends := make(map[string][]sessionstore.Field), make(map[string]int64)
	for rows.Next() {
		var id string
		var expires int64
		var name, value sql.RawBytes
		var version sql.NullInt64
		if err := rows.Scan(&id, &expires, &name, &value, &version); err != nil {
			return err
		}
		ends[id] = expires
		if version.Valid {
			fields[id] = append(fields[id], sessionstore.Field{Name: string(name), Value: string(value), Version: uint64(version.Int64)})
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, expires := range ends {
		found[sessionstore.Key{Kind: kind, ID: id}] = sessionstore.NewRecord(time.UnixMilli(expires), fields[id]...)
	}
	return nil
}

// UpdateAll implements [sessionstore.BatchUpdater]. It is one transaction of a few statements for each two
// hundred records, and one for each record if another change is in the way.
func (s *Store) UpdateAll(ctx context.Context, us []sessionstore.KeyedChange) []error {
	errs := make([]error, len(us))
	places := make(map[string][]int) // by kind
	for i := range us {
		if errs[i] = us[i].Key.Validate(); errs[i] == nil {
			errs[i] = us[i].Change.Validate()
		}
		if errs[i] == nil {
			places[us[i].Key.Kind] = append(places[us[i].Key.Kind], i)
		}
	}
	for _, is := range places {
		// In one order, so that two batches wait for each other and not each for the other.
		slices.SortFunc(is, func(x, y int) int { return strings.Compare(us[x].Key.ID, us[y].Key.ID) })
		for part := range slices.Chunk(is, batch) {
			s.updatePart(ctx, us, part, errs)
		}
	}
	return errs
}

// updatePart makes the changes of a part, all of one kind, and notes what came of each.
func (s *Store) updatePart(ctx context.Context, us []sessionstore.KeyedChange, part []int, errs []error) {
	var verdicts map[int]error
	var created int
	timed, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := again(timed, "update", func(ctx context.Context) error {
		return s.write(ctx, func() (err error) {
			verdicts, created, err = s.changeAll(ctx, us, part)
			return err
		})
	})
	switch {
	case errors.Is(err, errRaced):
		for _, i := range part {
			errs[i] = s.Update(ctx, us[i].Key, us[i].Change)
		}
		return
	case err != nil:
		for _, i := range part {
			errs[i] = err
		}
		return
	}
	for _, i := range part {
		errs[i] = verdicts[i]
	}
	if n := s.created.Add(uint64(created)); created > 0 && n/sweepEvery != (n-uint64(created))/sweepEvery {
		_ = again(timed, "sweep", func(ctx context.Context) error {
			_, err := s.sweep(ctx)
			return err
		})
	}
}

// changeAll makes the changes of a part in one transaction. It returns why some were not made, and how
// many records are new.
func (s *Store) changeAll(ctx context.Context, us []sessionstore.KeyedChange, part []int) (map[int]error, int, error) {
	tx, err := s.db.BeginTx(ctx, s.options)
	if err != nil {
		return nil, 0, err
	}
	defer tx.Rollback() // after Commit it does nothing
	kind, ids := us[part[0]].Key.Kind, make([]string, len(part))
	for n, i := range part {
		ids[n] = us[i].Key.ID
	}
	alive, err := s.lockAll(ctx, tx, kind, ids)
	if err != nil {
		return nil, 0, err
	}
	verdicts, err := s.judgeAll(ctx, tx, us, part, alive)
	if err != nil {
		return nil, 0, err
	}
	var made, fresh []int
	for _, i := range part {
		if verdicts[i] != nil {
			continue
		}
		made = append(made, i)
		if !alive[us[i].Key.ID] {
			fresh = append(fresh, i)
		}
	}
	if err := s.createAll(ctx, tx, us, fresh); err != nil {
		return nil, 0, err
	}
	if err := s.setAll(ctx, tx, us, made, alive); err != nil {
		return nil, 0, err
	}
	return verdicts, len(fresh), tx.Commit()
}

// lockAll takes the locks of those records that are there, and returns their ids.
func (s *Store) lockAll(ctx context.Context, tx *sql.Tx, kind string, ids []string) (map[string]bool, error) {
	if s.say.beginAll != "" {
		query, args := inKind(s.say.beginAll, nil, kind, ids)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return nil, err
		}
	}
	query, args := inKind(s.say.lockAll, nil, kind, ids)
	rows, err := tx.QueryContext(ctx, query+s.say.lockAllEnd, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	alive := make(map[string]bool, len(ids))
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		alive[id] = true
	}
	return alive, rows.Err()
}

// judgeAll returns why those changes are not made that are not.
func (s *Store) judgeAll(ctx context.Context, tx *sql.Tx, us []sessionstore.KeyedChange, part []int, alive map[string]bool) (map[int]error, error) {
	verdicts := make(map[int]error)
	var asked []string
	for _, i := range part {
		k, c := us[i].Key, &us[i].Change
		switch {
		case c.Mode == sessionstore.MustExist && !alive[k.ID]:
			verdicts[i] = sessionstore.ErrNotFound
		case c.Mode == sessionstore.MustNotExist && alive[k.ID]:
			verdicts[i] = sessionstore.ErrExists
		case len(c.If) > 0 && alive[k.ID]:
			asked = append(asked, k.ID)
		}
	}
	versions, err := s.versions(ctx, tx, us[part[0]].Key.Kind, asked)
	if err != nil {
		return nil, err
	}
	for _, i := range part {
		if verdicts[i] != nil {
			continue
		}
		for _, m := range us[i].Change.If {
			if versions[us[i].Key.ID][m.Name] != m.Version {
				verdicts[i] = sessionstore.ErrConflict
			}
		}
	}
	return verdicts, nil
}

// versions returns those of the fields of records, by id and name.
func (s *Store) versions(ctx context.Context, tx *sql.Tx, kind string, ids []string) (map[string]map[string]uint64, error) {
	versions := make(map[string]map[string]uint64, len(ids))
	if len(ids) == 0 {
		return versions, nil
	}
	query, args := inKind(s.say.versions, nil, kind, ids)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var name []byte
		var version int64
		if err := rows.Scan(&id, &name, &version); err != nil {
			return nil, err
		}
		if versions[id] == nil {
			versions[id] = make(map[string]uint64)
		}
		versions[id][string(name)] = uint64(version)
	}
	return versions, rows.Err()
}

// createAll makes records that are not there, where those stood that have expired.
func (s *Store) createAll(ctx context.Context, tx *sql.Tx, us []sessionstore.KeyedChange, fresh []int) error {
	if len(fresh) == 0 {
		return nil
	}
	ids := make([]string, len(fresh))
	var q strings.Builder
	q.WriteString(s.say.createAll)
	args := make([]any, 0, 3*len(fresh))
	for n, i := range fresh {
		ids[n] = us[i].Key.ID
		if n > 0 {
			q.WriteString(`, `)
		}
		q.WriteString(row(len(args), 3))
		args = append(args, us[i].Key.Kind, us[i].Key.ID, us[i].Change.Expires.UnixMilli())
	}
	q.WriteString(s.say.createAllEnd)
	bury, buried := inKind(s.say.buryAll, nil, us[fresh[0]].Key.Kind, ids)
	if _, err := tx.ExecContext(ctx, bury+s.say.expired, buried...); err != nil {
		return err
	}
	n, err := affected(tx.ExecContext(ctx, q.String(), args...))
	if err == nil && n != int64(len(fresh)) {
		return errRaced
	}
	return err
}

// setAll moves ends, and deletes and sets fields.
func (s *Store) setAll(ctx context.Context, tx *sql.Tx, us []sessionstore.KeyedChange, made []int, alive map[string]bool) error {
	moved := make(map[int64][]string)
	var rows, dropped []stored
	for _, i := range made {
		k, c := us[i].Key, &us[i].Change
		if alive[k.ID] && !c.Expires.IsZero() {
			moved[c.Expires.UnixMilli()] = append(moved[c.Expires.UnixMilli()], k.ID)
		}
		for _, name := range c.Delete {
			dropped = append(dropped, stored{k, sessionstore.Field{Name: name}})
		}
		for _, f := range c.Set {
			rows = append(rows, stored{k, f})
		}
	}
	for end, ids := range moved {
		query, args := inKind(s.say.move, []any{end}, us[made[0]].Key.Kind, ids)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	if err := s.dropAll(ctx, tx, dropped); err != nil {
		return err
	}
	return inParts(rows, func(rows []stored) error {
		var q strings.Builder
		q.WriteString(s.say.set)
		args := make([]any, 0, 5*len(rows))
		for i, r := range rows {
			if i > 0 {
				q.WriteString(`, `)
			}
			q.WriteString(row(len(args), 5))
			args = append(args, r.key.Kind, r.key.ID, []byte(r.field.Name), []byte(r.field.Value), int64(r.field.Version))
		}
		q.WriteString(s.say.setEnd)
		_, err := tx.ExecContext(ctx, q.String(), args...)
		return err
	})
}

// dropAll deletes fields, those of one record next to each other.
func (s *Store) dropAll(ctx context.Context, tx *sql.Tx, fields []stored) error {
	return inParts(fields, func(fields []stored) error {
		var q strings.Builder
		q.WriteString(s.say.dropAll)
		args := make([]any, 0, 3*len(fields))
		number := func(arg any) {
			args = append(args, arg)
			q.WriteString(`$` + strconv.Itoa(len(args)))
		}
		for i, f := range fields {
			if i > 0 && f.key == fields[i-1].key {
				q.WriteString(`, `)
				number([]byte(f.field.Name))
				continue
			}
			if i > 0 {
				q.WriteString(`)) OR `)
			}
			q.WriteString(`(kind = `)
			number(f.key.Kind)
			q.WriteString(` AND id = `)
			number(f.key.ID)
			q.WriteString(` AND name IN (`)
			number([]byte(f.field.Name))
		}
		q.WriteString(`))`)
		_, err := tx.ExecContext(ctx, q.String(), args...)
		return err
	})
}

// stored is a field and whose it is.
type stored struct {
	key   sessionstore.Key
	field sessionstore.Field
}
