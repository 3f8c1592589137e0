package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"

	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/required"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

// postgres is a PostgreSQL behind a proxy.
type postgres struct {
	bin, folder string
	port        string
	attr        *syscall.SysProcAttr
	cmd         *exec.Cmd
	done        chan struct{}
	proxy       *faultproxy.Proxy
	admin       *sql.DB
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

// nobody returns the ids under which PostgreSQL runs where we are root, which it refuses to be.
func nobody() (uid, gid int, err error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

func newPostgres(t testing.TB) (*postgres, error) {
	bin, err := programs()
	if err != nil {
		required.Missing(t, "PostgreSQL", err)
	}
	folder, err := os.MkdirTemp("", "chaos-postgres-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	x := &postgres{bin: bin, folder: folder, attr: &syscall.SysProcAttr{}}
	if os.Getuid() == 0 {
		uid, gid, err := nobody()
		if err != nil {
			return nil, err
		}
		x.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(folder, uid, gid); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", x.data(), "-U", "returnleg", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = folder, x.attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, x.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	if x.admin, err = sql.Open("pgx", x.url("127.0.0.1:"+x.port)); err != nil {
		return nil, err
	}
	t.Cleanup(func() { x.admin.Close() })
	if err := x.start(); err != nil {
		return nil, err
	}
	t.Cleanup(x.crash)
	if x.proxy, err = faultproxy.Listen("127.0.0.1:" + x.port); err != nil {
		return nil, err
	}
	t.Cleanup(x.proxy.Close)
	return x, nil
}

func (x *postgres) data() string { return filepath.Join(x.folder, "data") }

func (x *postgres) url(addr string) string {
	return "postgres://returnleg@" + addr + "/postgres?sslmode=disable&connect_timeout=2"
}

// start starts the server, and waits until it answers.
func (x *postgres) start() error {
	x.cmd = exec.Command(filepath.Join(x.bin, "postgres"), "-D", x.data(), "-h", "127.0.0.1", "-p", x.port,
		"-k", x.folder, "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	x.cmd.Dir, x.cmd.SysProcAttr = x.folder, x.attr
	if err := x.cmd.Start(); err != nil {
		return err
	}
	cmd, done := x.cmd, make(chan struct{})
	x.done = done
	go func() { _ = cmd.Wait(); close(done) }()
	var err error
	for range 600 {
		if err = x.admin.Ping(); err == nil {
			return nil
		}
		rest(50 * time.Millisecond)
	}
	return fmt.Errorf("postgres: %w", err)
}

// crash ends the server at once, as a power failure does for all that it has in memory. What it has
// written is in the system's hands.
func (x *postgres) crash() {
	_ = x.cmd.Process.Signal(syscall.SIGQUIT)
	<-x.done
}

func (x *postgres) store(t testing.TB) (sessionstore.Store, func()) {
	db, err := sql.Open("pgx", x.url(x.proxy.Addr))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := sqlstore.New(ctx, db, sqlstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() { db.Close() }
}

func (x *postgres) faults(*world) []fault {
	restart := func(name string, s syscall.Signal) fault {
		return fault{name, "", func(w *world) {
			_ = x.cmd.Process.Signal(s)
			<-x.done
			rest(500 * time.Millisecond)
			if err := x.start(); err != nil {
				w.t.Fatal(err)
			}
		}}
	}
	return append(network(x.proxy),
		restart("the server crashes and is started again", syscall.SIGQUIT),
		restart("the server is restarted", syscall.SIGINT),
		fault{"all backends are terminated", "", func(*world) {
			_, _ = x.admin.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'returnleg'")
		}},
	)
}
