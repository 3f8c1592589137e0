package providers_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the packages below internal, and those of them that each may import.
var rooms = map[string][]string{
	"grammar":    nil,
	"fault":      {"grammar"},
	"clientauth": nil,
	"challenge":  {"grammar"},
	"address":    {"fault", "grammar"},
	"call":       {"address", "clientauth", "fault"},
	"judge":      {"call", "fault", "grammar"},
	"discovery":  {"address", "call", "clientauth", "fault"},
	"idtoken":    {"call", "discovery", "fault", "grammar"},
	"service":    {"clientauth", "grammar"},
}

// A package below internal imports what the list allows, and never package providers.
func TestRooms(t *testing.T) {
	const module = "github.com/returnleg/returnleg/"
	dirs, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		allowed, ok := rooms[dir.Name()]
		if !ok {
			t.Errorf("internal/%s is not in the list", dir.Name())
		}
		files, err := filepath.Glob(filepath.Join("internal", dir.Name(), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				path, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				room, below := strings.CutPrefix(path, module+"providers/internal/")
				if below && !slices.Contains(allowed, room) || path == module+"providers" {
					t.Errorf("%s imports %s", file, path)
				}
				if strings.HasPrefix(path, module) && !below && path != module+"internal/strictjson" {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}
