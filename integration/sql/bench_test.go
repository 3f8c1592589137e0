package sql_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// BenchmarkStore loads, touches and changes a session of ten values.
func BenchmarkStore(b *testing.B) {
	rows := []struct {
		name string
		open func(b *testing.B) *sql.DB
	}{
		{"SQLite", func(b *testing.B) *sql.DB { return openSQLite(b, sqliteFile(b)+wal) }},
		{"PostgreSQL", func(b *testing.B) *sql.DB { return openPostgres(b, newDatabase(b)) }},
	}
	for _, row := range rows {
		s := newStore(b, row.open(b))
		k := sessionstore.Key{Kind: "session", ID: "bench"}
		c := fresh(time.Hour)
		for _, name := range strings.Split("bcdefghij", "") {
			c.Set = append(c.Set, sessionstore.Field{Name: name, Value: strings.Repeat("x", 60)})
		}
		if err := s.Update(b.Context(), k, c); err != nil {
			b.Fatal(err)
		}
		b.Run(row.name+"/load", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(b.Context(), k); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+"/touch", func(b *testing.B) {
			for b.Loop() {
				if err := s.Update(b.Context(), k, sessionstore.Change{Expires: c.Expires}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+"/set", func(b *testing.B) {
			for b.Loop() {
				if err := s.Update(b.Context(), k, sessionstore.Change{Set: c.Set[:1]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
