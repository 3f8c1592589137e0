package returnpath_test

import (
	"net/url"
	"testing"

	"github.com/returnleg/returnleg/internal/returnpath"
)

func TestWithQuery(t *testing.T) {
	for _, row := range []struct{ name, path, key, value, want string }{
		{"root", "/", "rl", "x", "/?rl=x"},
		{"path", "/a/b", "rl", "x", "/a/b?rl=x"},
		{"query", "/a?b=c", "rl", "x", "/a?b=c&rl=x"},
		{"empty query", "/a?", "rl", "x", "/a?rl=x"},
		{"open query", "/a?b&", "rl", "x", "/a?b&rl=x"},
		{"fragment", "/a#b", "rl", "x", "/a?rl=x#b"},
		{"empty fragment", "/a#", "rl", "x", "/a?rl=x#"},
		{"query and fragment", "/a?b=c#d?rl=y", "rl", "x", "/a?b=c&rl=x#d?rl=y"},
		{"question marks", "/a?b?c", "rl", "x", "/a?b?c&rl=x"},
		{"spelling is kept", "/a?b=%2f+%20&&c==d&%zz", "rl", "x", "/a?b=%2f+%20&&c==d&%zz&rl=x"},
		{"replaced", "/a?rl=y", "rl", "x", "/a?rl=x"},
		{"replaced, first", "/a?rl=y&b=c", "rl", "x", "/a?b=c&rl=x"},
		{"replaced, last", "/a?b=c&rl=y", "rl", "x", "/a?b=c&rl=x"},
		{"replaced, all of them", "/a?rl=y&b=c&rl&rl=", "rl", "x", "/a?b=c&rl=x"},
		{"replaced, escaped", "/a?%72l=y&b", "rl", "x", "/a?b&rl=x"},
		{"not replaced, longer", "/a?rls=y&url=z&RL", "rl", "x", "/a?rls=y&url=z&RL&rl=x"},
		{"not replaced, in the path", "/rl=y", "rl", "x", "/rl=y?rl=x"},
		{"value is escaped", "/a", "r l", "x&y=#z\r\n", "/a?r+l=x%26y%3D%23z%0D%0A"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := returnpath.WithQuery(row.path, row.key, row.value)
			if got != row.want {
				t.Fatalf("WithQuery = %q, want %q", got, row.want)
			}
			if again := returnpath.WithQuery(got, row.key, row.value); again != got {
				t.Errorf("WithQuery of its result = %q, want %q", again, got)
			}
			u, err := url.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if values := u.Query()[row.key]; len(values) != 1 || values[0] != row.value {
				t.Errorf("a reader finds %q, want one %q", values, row.value)
			}
		})
	}
}
