package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// A program stands in for a test, so that what starts servers for tests starts them here. What it
// lacks is nil, and is not called.
type program struct {
	testing.TB

	mu       sync.Mutex
	cleanups []func()
}

// A failure is what ends a program.
type failure string

func (p *program) Helper()                           {}
func (p *program) Name() string                      { return "chaos" }
func (p *program) Context() context.Context          { return context.Background() }
func (p *program) Fatal(args ...any)                 { panic(failure(fmt.Sprintln(args...))) }
func (p *program) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
func (p *program) Skipf(format string, args ...any)  { p.Fatalf(format, args...) }
func (p *program) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (p *program) Logf(format string, args ...any)   { fmt.Printf(format+"\n", args...) }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// clean ends what was started, the last first.
func (p *program) clean() {
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			return
		}
		f := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		f()
	}
}
