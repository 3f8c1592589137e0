//go:build !unix

package redistest

import (
	"errors"
	"os"
	"os/exec"
)

// errPause fails a test that needs a process to hang, where processes cannot be told to.
var errPause = errors.New("redistest: no process can be paused on this system")

func detach(*exec.Cmd) {}

func pause(*os.Process) error { return errPause }

func resume(*os.Process) error { return errPause }
