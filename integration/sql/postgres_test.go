package sql_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// A cluster is a PostgreSQL server of ours, on a free port of this machine, until the tests end.
type cluster struct {
	folder string
	port   int
	cmd    *exec.Cmd
	made   sync.Mutex
	names  int
}

var (
	startOnce sync.Once
	server    *cluster
	startErr  error
)

// TestMain ends the server that tests have started.
func TestMain(m *testing.M) {
	code := m.Run()
	if server != nil {
		server.stop()
	}
	os.Exit(code)
}

// postgres returns the server, or ends t if there is none on this machine.
func postgres(t testing.TB) *cluster {
	t.Helper()
	startOnce.Do(func() { server, startErr = startCluster() })
	needs(t, "PostgreSQL", startErr)
	return server
}

// programs returns the folder of initdb and postgres: Debian keeps them out of the path.
func programs() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", exec.ErrNotFound
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func startCluster() (*cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "returnleg-postgres-")
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, err := strconv.Atoi(nobody.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(nobody.Gid)
		if err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(folder, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "returnleg", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = folder, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: folder, port: port}
	c.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port),
		"-k", folder, "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	c.cmd.Dir, c.cmd.SysProcAttr = folder, attr
	log, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := ready(log); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// ready waits until the server says that it is, and reads on: a full pipe would hold it up.
func ready(log io.Reader) error {
	lines := bufio.NewScanner(log)
	var said strings.Builder
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go io.Copy(io.Discard, log)
			return nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return fmt.Errorf("postgres ended:\n%s", &said)
}

// stop ends the server the fast way, which waits for nobody.
func (c *cluster) stop() {
	c.cmd.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(20*time.Second, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	c.cmd.Wait()
	os.RemoveAll(c.folder)
}

func (c *cluster) source(database string) string {
	return fmt.Sprintf("postgres://returnleg@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// newDatabase makes an empty database and returns its data source.
func newDatabase(t testing.TB) string {
	t.Helper()
	c := postgres(t)
	c.made.Lock()
	c.names++
	name := "test" + strconv.Itoa(c.names)
	c.made.Unlock()
	if _, err := openPostgres(t, c.source("postgres")).Exec(`CREATE DATABASE ` + name); err != nil {
		t.Fatal(err)
	}
	return c.source(name)
}

// openPostgres opens a database, as a process of its own would.
func openPostgres(t testing.TB, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", source)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestPostgresContract(t *testing.T) {
	source := newDatabase(t)
	strict := source + "&default_transaction_isolation=serializable"
	rows := []struct {
		name string
		open func(t *testing.T) sessionstore.Store
	}{
		{"one handle", func(t *testing.T) sessionstore.Store { return newStore(t, openPostgres(t, source)) }},
		{"two handles", func(t *testing.T) sessionstore.Store {
			return &pair{a: newStore(t, openPostgres(t, source)), b: newStore(t, openPostgres(t, source))}
		}},
		// Statements outside of a transaction then fail because of others, and are tried again.
		{"serializable by default", func(t *testing.T) sessionstore.Store { return newStore(t, openPostgres(t, strict)) }},
		{"sealed", func(t *testing.T) sessionstore.Store {
			return sessionstore.Sealed(newStore(t, openPostgres(t, source)), sessionstore.NewKeyring())
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { storetest.Run(t, row.open) })
	}
}

func TestPostgresTrials(t *testing.T) {
	source := newDatabase(t)
	runTrials(t, &pair{a: newStore(t, openPostgres(t, source)), b: newStore(t, openPostgres(t, source))}, 300)
}

// A listener hears the latest statement that pgx sends.
type listener struct{ heard atomic.Value }

func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	l.heard.Store(q.SQL)
	return ctx
}

func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestPostgresPlan checks that sweeping looks only at what has expired, however many are alive.
func TestPostgresPlan(t *testing.T) {
	cfg, err := pgx.ParseConfig(newDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	cfg.Tracer = l
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { db.Close() })
	if _, err := newStore(t, db).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	sweep := strings.ReplaceAll(l.heard.Load().(string), "$1", "256")
	rows, err := db.QueryContext(t.Context(), "EXPLAIN "+sweep)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if !strings.Contains(plan.String(), "Index Cond: (expires <=") {
		t.Errorf("got plan\n%s\nwant a condition on the index", &plan)
	}
}

// TestPostgresConnectionsLost ends every connection of the store, as a server that restarts does. Not
// more calls fail than there were connections, and none takes that for absence.
func TestPostgresConnectionsLost(t *testing.T) {
	source := newDatabase(t)
	db := openPostgres(t, source)
	s := newStore(t, db)
	k := sessionstore.Key{Kind: "test", ID: "x"}
	if err := s.Update(t.Context(), k, fresh(time.Hour)); err != nil {
		t.Fatal(err)
	}
	open := db.Stats().OpenConnections
	do(t, openPostgres(t, source), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	failed := 0
	for range 20 {
		if _, err := s.Load(t.Context(), k); err != nil {
			failed++
			wantUnavailable(t, "load", err)
		}
	}
	if failed > open {
		t.Errorf("got %d failures after %d connections were lost, want no more than those", failed, open)
	}
}

// TestPostgresHeld has somebody else hold the record's row for as long as a call may take.
func TestPostgresHeld(t *testing.T) {
	db := openPostgres(t, newDatabase(t))
	k := sessionstore.Key{Kind: "test", ID: "x"}
	if err := newStore(t, db).Update(t.Context(), k, fresh(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.New(t.Context(), db, sqlstore.Config{Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE returnleg_record SET expires = expires`); err != nil {
		t.Fatal(err)
	}
	change := sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "2"}}}
	if err := s.Update(t.Context(), k, change); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held: got error %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := s.Load(t.Context(), k); err != nil {
		t.Errorf("load meanwhile: got error %v, want none", err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("sweep meanwhile: got %d and error %v, want 0 and none", n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), k, change); err != nil {
		t.Errorf("afterwards: got error %v, want none", err)
	}
}
