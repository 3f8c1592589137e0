// Package house_test holds the structure of the repository: which package may import which, how large packages and files
// are, and that the files of a room do not refer to one another in a circle.
package house_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/returnleg/returnleg"

// A room is a package, the types through which its files may refer to one another in a circle, and the rooms that it imports.
type room struct {
	name  string
	main  []string
	above []string
}

// rooms are the parts of the kit, from the ground up, and what each of them may import of this module besides the leaves.
var rooms = []room{
	{"internal/web", nil, nil},
	{"internal/session", []string{"Sessions", "Request", "View"}, []string{"internal/web"}},
	{"internal/account", []string{"Accounts", "Account"}, []string{"internal/session"}},
	{"internal/connection", []string{"Connections", "Grant"}, []string{"internal/web", "internal/session", "internal/account"}},
	{"internal/signin", []string{"SignIns", "Flow"}, []string{"internal/web", "internal/session", "internal/account", "internal/connection"}},
	{"middleware", []string{"Auth", "request", "Problem"}, []string{"internal/web", "internal/session", "internal/account", "internal/connection", "internal/signin", "internal/page", "internal/check"}},
}

// leaves are what any room may import. None of them imports a room.
var leaves = []string{
	"internal/aead", "internal/background", "internal/env", "internal/eventlog", "internal/guest", "internal/keys", "internal/packed",
	"internal/reason", "internal/returnpath", "internal/values", "providers", "sessionstore",
}

// withoutProviders are rooms that do not know what a provider is.
var withoutProviders = []string{"internal/web", "internal/session"}

type listed struct {
	ImportPath, Dir, Name string
	GoFiles, Imports      []string
}

// list returns the packages of the module.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,GoFiles,Imports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

func own(p listed) (imports []string) {
	for _, i := range p.Imports {
		if name, ok := strings.CutPrefix(i, module+"/"); ok {
			imports = append(imports, name)
		}
	}
	return imports
}

// A room imports leaves and the rooms above it, and nothing imports middleware.
func TestEdges(t *testing.T) {
	all := list(t)
	known := slices.Clone(leaves)
	for _, room := range rooms {
		p, ok := all[room.name]
		if !ok {
			t.Fatalf("no package %s", room.name)
		}
		for _, i := range own(p) {
			if !slices.Contains(leaves, i) && !slices.Contains(room.above, i) {
				t.Errorf("%s imports %s", room.name, i)
			}
			if i == "providers" && slices.Contains(withoutProviders, room.name) {
				t.Errorf("%s knows providers", room.name)
			}
		}
		known = append(known, room.name)
	}
	for _, leaf := range leaves {
		for _, i := range own(all[leaf]) {
			if slices.ContainsFunc(rooms, func(r room) bool { return r.name == i }) {
				t.Errorf("the leaf %s imports the room %s", leaf, i)
			}
		}
	}
	for name, p := range all {
		if name != "middleware" && !strings.HasPrefix(name, "internal/") && name != "providers" && name != "sessionstore" {
			continue
		}
		if slices.Contains(own(p), "middleware") {
			t.Errorf("%s imports middleware", name)
		}
		below := strings.HasPrefix(name, "providers") || strings.HasPrefix(name, "sessionstore")
		for _, i := range own(p) {
			if below && slices.Contains(known[len(leaves):], i) {
				t.Errorf("%s imports the room %s", name, i)
			}
		}
	}
}

// No package of the product is too large to be known by heart, and no file.
func TestSizes(t *testing.T) {
	for name, p := range list(t) {
		lines := 0
		for _, f := range p.GoFiles {
			n := count(t, filepath.Join(p.Dir, f))
			if n > 400 {
				t.Errorf("%s/%s has %d lines, want at most 400", name, f, n)
			}
			lines += n
		}
		if lines > 3500 && name != "providers/providertest" {
			t.Errorf("%s has %d lines, want at most 3,500", name, lines)
		}
	}
}

func count(t *testing.T, file string) (n int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		n++
	}
	return n
}

// At most 40 functions of middleware are methods of Auth or take one.
func TestAuth(t *testing.T) {
	fset, files := parse(t, list(t)["middleware"])
	var hold []string
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			fields := slices.Clone(fn.Type.Params.List)
			if fn.Recv != nil {
				fields = append(fields, fn.Recv.List...)
			}
			if slices.ContainsFunc(fields, func(f *ast.Field) bool { return types.ExprString(f.Type) == "*Auth" }) {
				hold = append(hold, fn.Name.Name)
			}
		}
	}
	_ = fset
	if len(hold) > 40 {
		t.Errorf("%d functions hold an Auth, want at most 40: %v", len(hold), hold)
	}
}

func parse(t *testing.T, p listed) (*token.FileSet, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return fset, files
}

// nothing imports packages without their content: what the files of one package refer to in it is known all the same.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	p := types.NewPackage(path, name)
	p.MarkComplete()
	return p, nil
}

// The files of one room refer to one another in one direction, but through the types that the room is about.
func TestCycles(t *testing.T) {
	all := list(t)
	for _, room := range rooms {
		t.Run(room.name, func(t *testing.T) {
			fset, files := parse(t, all[room.name])
			info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
			conf := types.Config{Importer: nothing{}, Error: func(error) {}}
			pkg, _ := conf.Check(room.name, fset, files, info)
			fileOf := func(p token.Pos) string { return filepath.Base(fset.Position(p).Filename) }
			refers := map[string]map[string][]string{} // from, to, names
			note := func(at token.Pos, o types.Object) {
				if o == nil || o.Pkg() != pkg || !o.Pos().IsValid() || isMain(room.main, pkg, o) {
					return
				}
				from, to := fileOf(at), fileOf(o.Pos())
				if from == to {
					return
				}
				if refers[from] == nil {
					refers[from] = map[string][]string{}
				}
				if !slices.Contains(refers[from][to], o.Name()) {
					refers[from][to] = append(refers[from][to], o.Name())
				}
			}
			for id, o := range info.Uses {
				if o.Parent() == pkg.Scope() || isMember(o) {
					note(id.Pos(), o)
				}
			}
			for _, circle := range circles(refers) {
				t.Errorf("these files refer to one another in a circle: %v", circle)
				for _, from := range circle {
					for to, names := range refers[from] {
						if slices.Contains(circle, to) {
							slices.Sort(names)
							t.Logf("%s → %s: %v", from, to, names)
						}
					}
				}
			}
		})
	}
}

// isMember reports that o is a method or a field.
func isMember(o types.Object) bool {
	switch o := o.(type) {
	case *types.Func:
		return o.Signature().Recv() != nil
	case *types.Var:
		return o.IsField()
	}
	return false
}

// isMain reports that o is one of the types of main, or a member of one.
func isMain(main []string, pkg *types.Package, o types.Object) bool {
	for _, name := range main {
		m := pkg.Scope().Lookup(name)
		if m == nil {
			continue
		}
		if o == m {
			return true
		}
		named, ok := m.Type().(*types.Named)
		if !ok {
			continue
		}
		for f := range named.Methods() {
			if f == o {
				return true
			}
		}
		if s, ok := named.Underlying().(*types.Struct); ok {
			for f := range s.Fields() {
				if f == o {
					return true
				}
			}
		}
	}
	return false
}

// circles returns the sets of files each of which leads to each other one of its set.
func circles(refers map[string]map[string][]string) (all [][]string) {
	reach := func(from string) map[string]bool {
		seen := map[string]bool{}
		for next := []string{from}; len(next) > 0; {
			at := next[0]
			next = next[1:]
			for to := range refers[at] {
				if !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		return seen
	}
	done := map[string]bool{}
	for from := range refers {
		if done[from] || !reach(from)[from] {
			continue
		}
		circle := []string{from}
		for to := range reach(from) {
			if to != from && reach(to)[from] {
				circle = append(circle, to)
			}
		}
		for _, f := range circle {
			done[f] = true
		}
		slices.Sort(circle)
		all = append(all, circle)
	}
	return all
}
