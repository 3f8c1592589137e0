package frameworks_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Every block of Go in docs/frameworks.md consists of functions that are compiled and tested, as they are here.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/frameworks.md")
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "../../adapters/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range functions(t, src) {
				compiled[f] = true
			}
		}
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Fatal("no block of Go")
	}
	for _, block := range blocks {
		fs := functions(t, append([]byte("package page\n\n"), block[1]...))
		if len(fs) == 0 {
			t.Errorf("no function in\n%s", block[1])
		}
		for _, f := range fs {
			if !compiled[f] {
				t.Errorf("no copy of a function in a test:\n%s", f)
			}
		}
	}
}

// functions returns the text of each function of a file, without its comment.
func functions(t *testing.T, src []byte) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", src, 0)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	var fs []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			fs = append(fs, string(src[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset]))
		}
	}
	return fs
}
