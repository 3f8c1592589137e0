package signedin

import "fmt"

// A session of the benchmarks holds ten strings of forty bytes, and nothing else of the app's.
const valueCount = 10

// Value returns a key and its value in the session of that number.
func Value(i, session int) (key, value string) {
	return fmt.Sprintf("key%d", i), fmt.Sprintf("value %d of session %022d", i, session)
}

// Fill puts the ten values of a session.
func Fill(session int, put func(key, value string)) {
	for i := range valueCount {
		put(Value(i, session))
	}
}

// read is the key that reading handlers ask for, and written the one that writing ones change.
const (
	read    = "key7"
	written = "key3"
)

// alternate returns values that differ from one call to the next, made in advance.
func alternate() func() string {
	values := [2]string{fmt.Sprintf("%040d", 0), fmt.Sprintf("%040d", 1)}
	n := 0
	return func() string {
		n++
		return values[n%2]
	}
}
