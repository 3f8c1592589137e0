//go:build !sql

package main

import (
	"strings"
	"testing"
)

// A database is refused at the start, with the command that opens it, beside the other mistakes.
func TestConfig_noSQL(t *testing.T) {
	const hint = "go run -tags sql ./example"
	for _, store := range []string{"sqlite:app.db", "postgres://app:hush@127.0.0.1/app", "postgresql://app:hush@127.0.0.1/app"} {
		_, err := readConfig(environment{"STORE": store, "KEYS": key1}.get)
		if err == nil || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v", store, err)
		}
		_, err = readConfig(environment{"STORE": store}.get)
		if err == nil || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), "KEYS is not set") {
			t.Errorf("%s, without keys: got %v", store, err)
		}
		if _, err := openStore(t.Context(), store); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s, opened: got %v", store, err)
		}
	}
}
