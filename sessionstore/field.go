package sessionstore

import (
	"fmt"
	"log/slog"
)

// A Field is a named value. Value is a string because strings are immutable: a store may hand
// out what it holds. Printed or encoded, a field is "[redacted]".
type Field struct {
	Name    string // any bytes; 1 to 128 of them
	Value   string // any bytes; may be empty; every store takes 1 MiB
	Version uint64 // chosen by the writer; 0 for a field that no [Match] will ever name
}

const redacted = "[redacted]"

// Format writes "[redacted]", whatever the verb.
func (Field) Format(s fmt.State, _ rune) { redact(s) }

// LogValue returns "[redacted]".
func (Field) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Field) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (Field) GobEncode() ([]byte, error) { return []byte(redacted), nil }

func redact(s fmt.State) { s.Write([]byte(redacted)) }
