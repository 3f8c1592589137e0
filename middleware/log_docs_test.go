package middleware_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The events in the log's table of docs/operating.md are in the code, word by word.
func TestLog_docs(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		code.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## The log\n")
	section, _, _ = strings.Cut(section, "\nEach `reason` is a constant")
	n := 0
	quoted := regexp.MustCompile("`([^`]+)`")
	for row := range strings.Lines(section) {
		cells := strings.Split(row, " | ")
		if len(cells) != 3 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
			n++
			event := strings.TrimSuffix(strings.TrimSuffix(m[1], "…"), " yet") // added to what is tried again
			if !strings.Contains(code.String(), `"`+event) {
				t.Errorf("no event %q in the code", m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("%d events in the table, want more than 30", n)
	}
}
