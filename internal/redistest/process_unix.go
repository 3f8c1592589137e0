//go:build unix

package redistest

import (
	"os"
	"os/exec"
	"syscall"
)

// detach makes c a process group of its own: a terminal's interrupt is for the test, which then ends it.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
