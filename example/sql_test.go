//go:build sql

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfig_sql(t *testing.T) {
	for _, store := range []string{"sqlite:app.db", "postgres://127.0.0.1/app", "postgresql://127.0.0.1/app"} {
		c, err := readConfig(environment{"STORE": store, "KEYS": key1}.get)
		if err != nil || c.storeURL != store || len(c.keys) != 1 {
			t.Errorf("%s: got store %q, %d keys, error %v", store, c.storeURL, len(c.keys), err)
		}
		_, err = readConfig(environment{"STORE": store}.get)
		if err == nil || !strings.HasPrefix(err.Error(), "KEYS is not set") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, without keys: got %v", store, err)
		}
	}
}

// A file that is missing is named, and nobody looks for a mistake in the password.
func TestOpenStore_certificate(t *testing.T) {
	_, err := openStore(t.Context(), "postgres://app:hush@127.0.0.1:1/app?sslmode=verify-full&sslrootcert=/missing.pem")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/missing.pem") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got error %v, want one that names the file and no more", err)
	}
}

// A file has the name that STORE gives it.
func TestOpenStore_file(t *testing.T) {
	for _, name := range []string{"a.db", "a#b.db", "a?b.db", "a%20b.db", "a b.db", "a:b.db", "ä.db"} {
		file := filepath.Join(t.TempDir(), name)
		b, err := openStore(t.Context(), "sqlite:"+file)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
}

// Seed J11: a store in a file survives a restart in the middle of a sign-in.
func TestSeed_J11_restart(t *testing.T) {
	checkRestart(t, "sqlite:"+filepath.Join(t.TempDir(), "app.db"))
}
