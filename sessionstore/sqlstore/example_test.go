package sqlstore_test

import (
	"context"
	"database/sql"
	"log"
	"os"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

// A program imports a driver for its name: here _ "modernc.org/sqlite". With package middleware, store
// is the Store of its Config as it is; whoever uses it without seals values, as here.
func ExampleNew() {
	db, err := sql.Open("sqlite", "file:app.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, err := sqlstore.New(ctx, db, sqlstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := sessionstore.ParseKeyring(os.Getenv("SESSION_KEYS"))
	if err != nil {
		log.Fatal(err)
	}
	use(sessionstore.Sealed(store, keys))
}

func use(sessionstore.Store) {}
