package faults_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// furtherText is what the next version writes behind each value of this one.
const furtherText = "of the next minor version"

// An edit is what the next minor version has changed in a package of this tree, at a place that is there
// once. In becomes, an ellipsis stands for that place as it is. What it needs is imported.
type edit struct{ dir, place, becomes string }

// furtherMembers is the file that the next version has and this one has not: how it reads what this one
// does not write.
const furtherMembers = `package packed

// Further is what this version writes behind each value.
const Further = "` + furtherText + `"

// Further reads what this version has written behind a value. Behind one of the version before is nothing.
func (r *Reader) Further() {
	if r.More() && r.String() != Further {
		panic("packed: neither this version's nor the one's before")
	}
}
`

const (
	appendFurther = "\n\tb = packed.AppendString(b, packed.Further)"
	textFurther   = "\n\tb.Text(packed.Further)"
)

// nextEdits make of this tree the one of the next minor version: whatever is stored, or travels, has
// something more than it has here.
var nextEdits = []edit{
	// The session, and what it holds.
	{"internal/session", `b = packed.AppendBool(b, m.Unseen)`, `…` + appendFurther},
	{"internal/session", `m.Renewed, m.Unseen = r.Time(), r.Bool()`, "…\n\t\tr.Further()"},
	{"internal/env", `PackedTag: string(packed.AppendString(nil, string(h[:8])))`, `PackedTag: string(packed.AppendString(packed.AppendString(nil, string(h[:8])), packed.Further))`},
	{"internal/session", `return tag == a.Env.Site.Tag, r.Err()`, "if tag == a.Env.Site.Tag {\n\t\tr.Further()\n\t}\n\t…"},
	{"internal/signin", `Value: e.Packed()})`, "Value: e.Packed()},\n\t\tsessionstore.Field{Name: \"further\", Value: packed.Further})"},
	{"internal/session", `a.BornField(n.Born),`, "…\n\t\t\t{Name: \"further\", Value: packed.Further},"},
	{"internal/connection", `b.Bool(g.dead)`, `…` + textFurther},
	{"internal/connection", `g.Provider, g.Label, _ = strings.Cut(id, ":")`, "…\n\tr.Further()"},
	{"providers", `b.Text(t.Session)`, `…` + textFurther},
	{"providers", "Session: r.String(),\n\t}", "…\n\tr.Further()"},
	{"internal/connection", `b = packed.AppendTime(b, m.sent)`, `…` + appendFurther},
	{"internal/connection", `sent: r.Time(), version: f.Version}`, "…\n\tr.Further()"},
	{"internal/session", `Value: string(packed.AppendString(b, p.JSON))}`, `Value: string(packed.AppendString(packed.AppendString(b, p.JSON), packed.Further))}`},
	{"internal/session", "JSON: r.String()}", "…\n\tr.Further()"},
	{"internal/session", `b = packed.AppendString(b, e.Result)`, `…` + appendFurther},
	{"internal/session", `Result: r.String()}`, "…\n\t\tr.Further()"},
	// A value of a kind that this version cannot decode.
	{"internal/values", `tagGob        = 28`, "…\n\ttagAddr       = 29"},
	{"internal/values", `return appendTime(append(b, tagTime), v)`, "…\n\tcase netip.Addr:\n\t\treturn packed.AppendString(append(b, tagAddr), v.String()), nil"},
	{"internal/values", `return time.Duration(d.int(64))`, `…
	case tagAddr:
		addr, err := netip.ParseAddr(d.r.String())
		if err != nil {
			return d.fail(ErrMalformed)
		}
		return addr`},
	// The person, and where they are signed in.
	{"internal/account", `b.Text(acc.Provider)`, `…` + textFurther},
	{"internal/account", `claims, acc.Provider = r.String(), r.String()`, "…\n\tr.Further()"},
	{"internal/account", `return string(packed.AppendTime(packed.AppendString(b, device), listed))`, `b = packed.AppendTime(packed.AppendString(b, device), listed)
	return string(packed.AppendString(b, packed.Further))`},
	{"internal/account", `deadline, device, listed = r.Time(), r.String(), r.Time()`, "…\n\tr.Further()"},
	{"internal/account", `{Name: account, Version: env.Version()}`, `{Name: account, Value: packed.Further, Version: env.Version()}`},
	{"internal/account", `{Name: fieldMark, Version: mark}`, `{Name: fieldMark, Value: packed.Further, Version: mark}`},
	// A sign-in under way, and how it ended.
	{"internal/signin", "b = packed.AppendString(b, f.returnTo)\n\t}", `…` + appendFurther},
	{"internal/signin", "f.returnTo = r.String()\n\t}", "…\n\tr.Further()"},
	{"internal/signin", `{{Name: "path", Value: tag + f.returnTo}}`, `{{Name: "path", Value: tag + f.returnTo}, {Name: "further", Value: packed.Further}}`},
	{"internal/signin", `v = keys.Text(append(a.bindingMark(k, c.name, first, string(rest)), first...)) + "." + keys.Text(rest)`, `… + ".~further"`},
	{"internal/signin", "b = packed.AppendBool(b, n.Again)\n\tb = packed.AppendString(b, provider)", `…` + appendFurther},
	{"internal/signin", `of := r.String()`, "…\n\tr.Further()"},
	{"internal/signin", `b = packed.AppendString(b, s.Meta.User)`, `…` + appendFurther},
	{"internal/signin", `ok = r.String() == s.ID && r.String() == s.Meta.User && s.SignedIn()`, "…\n\tr.Further()"},
	{"internal/signin", `"access_token", "id_token", "token_type", "response",`, `… "further",`},
	{"internal/signin", `b.Bool(r.Seen)`, `…` + textFurther},
	{"internal/signin", `known := a.Knows(r.Failure.Code)`, "p.Further()\n\t…"},
	{"internal/signin", `code = reason.Denied`, `code = "declined"`},
	{"middleware", `var answers = map[Reason]struct {
	status        int
	title, detail string
}{`, "…\n\t\"declined\": {http.StatusForbidden, \"You said no\", \"Nothing was changed.\"},"},
	// What guests have paid, and how a record lies in Redis.
	{"internal/guest", `b = packed.AppendUint(b, c.born)`, `…` + appendFurther},
	{"internal/guest", `born: r.Uint(), version: f.Version}`, "…\n\tr.Further()"},
	{"sessionstore/redisstore", `when = ends + " " + k.Kind + ":" + k.ID`, `… + " further"`},
	{"sessionstore/redisstore", `args = append(args, metaField, when)`, `args = append(args, metaField, when, "~further", "\x10in another form")`},
}

// buildNext builds the program that these tests are, as of the next minor version: the tree's own
// sources with nextEdits, and nothing else. It ends the test if an edit finds no place any more, or two.
func buildNext(t *testing.T) (program string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, e := range nextEdits {
		var found []string
		for _, file := range sourcesIn(t, root, e.dir, sources) {
			if n := strings.Count(sources[file], e.place); n > 0 {
				found = append(found, slices.Repeat([]string{file}, n)...)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s: %d times %q, want once: the next version needs another edit", e.dir, len(found), e.place)
			continue
		}
		source := strings.Replace(sources[found[0]], e.place, strings.Replace(e.becomes, "…", e.place, 1), 1)
		sources[found[0]] = imports(source, e.becomes)
	}
	sources["internal/packed/further.go"] = furtherMembers
	if t.Failed() {
		t.FailNow()
	}
	dir := t.TempDir()
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for file, source := range sources {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(to, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, file)] = to
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, b, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "next")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", list, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return program
}

// sourcesIn returns the names of the files of a package, and reads those that are not in sources yet.
func sourcesIn(t *testing.T, root, dir string, sources map[string]string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file := dir + "/" + filepath.Base(path)
		if _, ok := sources[file]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[file] = string(b)
		}
		files = append(files, file)
	}
	return files
}

// imports returns source with the imports that an edit needs.
func imports(source, becomes string) string {
	for use, path := range map[string]string{"packed.": "github.com/returnleg/returnleg/internal/packed", "netip.": "net/netip"} {
		if strings.Contains(becomes, use) && !strings.Contains(source, strconv.Quote(path)) {
			source = strings.Replace(source, "import (\n", "import (\n\t"+strconv.Quote(path)+"\n", 1)
		}
	}
	return source
}
