package sql_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// TestSQLiteKilled has a process of its own write to a file and be killed, which leaves it neither
// the time to close the file nor to move the write-ahead log into it.
func TestSQLiteKilled(t *testing.T) {
	const variable = "RETURNLEG_SQL_KILLED"
	k := sessionstore.Key{Kind: "session", ID: "killed"}
	if name := os.Getenv(variable); name != "" {
		if err := newStore(t, openSQLite(t, name+wal)).Update(t.Context(), k, fresh(time.Hour)); err != nil {
			t.Fatal(err)
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal may take a moment
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := sqliteFile(t)
	cmd := exec.Command(self, "-test.run=^TestSQLiteKilled$")
	cmd.Env = append(os.Environ(), variable+"="+name)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("got %v and output\n%s\nwant a process that was killed", err, out)
	}
	r, err := newStore(t, openSQLite(t, name+wal)).Load(t.Context(), k)
	if f, _ := r.Field("a"); err != nil || f.Value != "1" {
		t.Errorf("got value %q and error %v, want what the process wrote", f.Value, err)
	}
}
