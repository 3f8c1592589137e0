package sqlstore

import (
	"slices"
	"strconv"
	"strings"

	"github.com/returnleg/returnleg/sessionstore"
)

// row returns the text of a row of n parameters, the first of which follows that of number last.
func row(last, n int) string {
	var q strings.Builder
	for i := range n {
		q.WriteString(map[bool]string{true: `($`, false: `, $`}[i == 0] + strconv.Itoa(last+i+1))
	}
	return q.String() + `)`
}

// inKind completes a statement that ends in "kind = ", with the ids of records of that kind. Parameters
// that come before are args.
func inKind(query string, args []any, kind string, ids []string) (string, []any) {
	var q strings.Builder
	q.WriteString(query)
	args = append(args, kind)
	q.WriteString(`$` + strconv.Itoa(len(args)) + ` AND id IN (`)
	for i, id := range ids {
		if i > 0 {
			q.WriteString(`, `)
		}
		args = append(args, id)
		q.WriteString(`$` + strconv.Itoa(len(args)))
	}
	q.WriteString(`)`)
	return q.String(), args
}

// oneByOne calls f with each key, until it fails.
func oneByOne(ks []sessionstore.Key, f func(kind string, ids []string) error) error {
	for _, k := range ks {
		if err := f(k.Kind, []string{k.ID}); err != nil {
			return err
		}
	}
	return nil
}

// byKind calls f with the ids of the keys of each kind, a batch at a time, until it fails.
func byKind(ks []sessionstore.Key, f func(kind string, ids []string) error) error {
	kinds := make(map[string][]string)
	for _, k := range ks {
		kinds[k.Kind] = append(kinds[k.Kind], k.ID)
	}
	for kind, ids := range kinds {
		for part := range slices.Chunk(ids, batch) {
			if err := f(kind, part); err != nil {
				return err
			}
		}
	}
	return nil
}
