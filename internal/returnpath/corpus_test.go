package returnpath_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// corpus returns every address of testdata.
func corpus(t testing.TB) []string {
	t.Helper()
	return append(openRedirects(t), classes(t)...)
}

func openRedirects(t testing.TB) []string {
	t.Helper()
	text := strings.TrimSuffix(seed(t, "testdata/open-redirects*.txt"), "\n")
	return strings.Split(text, "\n")
}

var placeholder = regexp.MustCompile(`<(0x[0-9a-f]{2}|[A-Z]+)>`)

// classes returns the addresses of the code block of return-to.md.
func classes(t testing.TB) []string {
	t.Helper()
	_, block, ok := strings.Cut(seed(t, "testdata/return-to*.md"), "```\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatal("return-to.md has no code block")
	}
	names := map[string]string{"TAB": "\t", "LF": "\n", "CR": "\r", "SP": " ", "NUL": "\x00", "NBSP": "\u00a0"}
	var addresses []string
	for _, address := range strings.Fields(block) {
		addresses = append(addresses, placeholder.ReplaceAllStringFunc(address, func(name string) string {
			name = strings.Trim(name, "<>")
			if c, ok := names[name]; ok {
				return c
			}
			n, err := strconv.ParseUint(name, 0, 8)
			if err != nil {
				t.Fatalf("return-to.md: unknown placeholder %q", name)
			}
			return string([]byte{byte(n)})
		}))
	}
	return addresses
}

// seed returns the files of glob, one after the other; none, or an empty one, fails t.
func seed(t testing.TB, glob string) string {
	t.Helper()
	names, err := filepath.Glob(glob)
	if err != nil || len(names) == 0 {
		t.Fatalf("no file matches %s (%v)", glob, err)
	}
	var all bytes.Buffer
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			t.Fatalf("%s is empty", name)
		}
		all.Write(text)
	}
	return all.String()
}
