package middleware_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	seedFunc = regexp.MustCompile(`func TestSeed_(\w+)`)
	seedRow  = regexp.MustCompile(`(?m)^\| ([FRWSJ]\d+) \|.*\| ([^|]*) \|$`)
	seedID   = regexp.MustCompile(`^[FRWSJ]\d+$`)
)

// docs/coming-from.md answers every row once, and says of each that has no test that it is not there.
func TestSeed_docs(t *testing.T) {
	tested := map[string]bool{}
	for _, dir := range []string{".", "../providers", "../example"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range seedFunc.FindAllStringSubmatch(string(b), -1) {
				for part := range strings.SplitSeq(m[1], "_") {
					tested[part] = tested[part] || seedID.MatchString(part)
				}
			}
		}
	}
	b, err := os.ReadFile("../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, m := range seedRow.FindAllStringSubmatch(string(b), -1) {
		rows[m[1]] = append(rows[m[1]], m[2])
	}
	for letter, n := range map[string]int{"F": 47, "R": 21, "W": 7, "S": 12, "J": 15} {
		for i := 1; i <= n; i++ {
			id := fmt.Sprint(letter, i)
			answers := rows[id]
			if len(answers) != 1 {
				t.Errorf("%s is answered %d times, want once", id, len(answers))
				continue
			}
			absent := strings.HasPrefix(answers[0], "**No**") || strings.HasPrefix(answers[0], "**Not yet**")
			if absent == tested[id] {
				t.Errorf("%s: has a test: %v; the answer: %s", id, tested[id], answers[0])
			}
		}
	}
	if len(rows) != 47+21+7+12+15 {
		t.Errorf("%d rows, want %d", len(rows), 47+21+7+12+15)
	}
}
