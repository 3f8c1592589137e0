package redistest

import (
	"strings"
	"sync"
)

// A Journal keeps what is logged.
type Journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends p.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String returns all that was written.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
