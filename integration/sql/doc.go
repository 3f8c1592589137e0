// Package sql tests sqlstore with PostgreSQL and SQLite, and FromSCS with the Redis store of scs.
package sql
