// Package child runs a program for one test and reads what it prints.
package child

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs until its test ends.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when the program has ended
	err   error         // how; read it after done

	mu     sync.Mutex
	lines  []string
	waiter chan struct{} // closed when there is one more line
}

// Start starts cmd, whose output it takes over. When t ends the program gets SIGTERM, and SIGKILL if
// it has not ended 20 seconds later. It dies with the test binary, however that ends: its standard
// input is a pipe of ours, and on Linux the kernel is told, too.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	w.Close()
	p := &Process{cmd: cmd, stdin: stdin, done: make(chan struct{}), waiter: make(chan struct{})}
	go p.read(out)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", cmd.Path, p.Output())
		}
	})
	return p
}

// Pid returns the id of the program's process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Pause makes the program hang in the middle of whatever it does, until [Process.Continue]. When it
// returns, nothing of it runs any more (on Linux; soon afterwards elsewhere).
func (p *Process) Pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal is one thread's first. On a busy machine the others go on until that one has its turn.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !stopped(p.Pid()) {
		<-tick.C
	}
	return nil
}

// Continue ends what Pause began.
func (p *Process) Continue() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends the program now, and returns when it has ended: nil if it did so by itself and with
// success.
func (p *Process) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Process.Signal(syscall.SIGCONT) // one that hangs would not notice
	kill := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.done
	return p.err
}

// Kill ends the program without warning, and returns when it has ended.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Ended returns what is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Output returns everything that the program has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Line waits for the first line that match accepts. It ends the test if the program ends before it
// printed one, or takes longer than a minute.
func (p *Process) Line(t testing.TB, match func(line string) bool) string {
	t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for next := 0; ; {
		p.mu.Lock()
		lines, more := p.lines[next:], p.waiter
		p.mu.Unlock()
		for _, line := range lines {
			if match(line) {
				return line
			}
		}
		next += len(lines)
		select {
		case <-more:
		case <-p.done:
			t.Fatalf("%s ended before it was ready", p.cmd.Path)
		case <-timeout.C:
			t.Fatalf("%s was not ready within a minute", p.cmd.Path)
		}
	}
}

func (p *Process) read(out io.ReadCloser) {
	defer close(p.done)
	defer p.stdin.Close()
	defer out.Close()
	for s := bufio.NewScanner(out); s.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.waiter)
		p.waiter = make(chan struct{})
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
}
