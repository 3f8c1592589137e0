// Package required decides what a test does when a part that it needs is not installed.
package required

import (
	"os"
	"testing"
)

// Missing ends t: it is skipped on a machine that lacks a part, and fails where RETURNLEG_REQUIRE=1
// says that every part is there.
func Missing(t testing.TB, part string, err error) {
	t.Helper()
	if os.Getenv("RETURNLEG_REQUIRE") == "1" {
		t.Fatalf("%s is required: %v", part, err)
	}
	t.Skipf("%s is missing: %v", part, err)
}
