package faults_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// furtherText is what the next version writes behind each value of this one.
const furtherText = "of the next minor version"

// An edit is what the next minor version has changed in a file of this tree, at a place that is there
// once. In becomes, an ellipsis stands for that place as it is.
type edit struct{ file, place, becomes string }

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
	{"middleware/session.go", `b = packed.AppendBool(b, m.unseen)`, `…` + appendFurther},
	{"middleware/session.go", `m.renewed, m.unseen = r.Time(), r.Bool()`, "…\n\t\tr.Further()"},
	{"middleware/site.go", `own: string(packed.AppendString(nil, string(h[:8])))`, `own: string(packed.AppendString(packed.AppendString(nil, string(h[:8])), packed.Further))`},
	{"middleware/site.go", `return tag == s.tag, r.Err()`, "if tag == s.tag {\n\t\tr.Further()\n\t}\n\t…"},
	{"middleware/settle.go", `Value: e.packed[1:]})`, "Value: e.packed[1:]},\n\t\tsessionstore.Field{Name: \"further\", Value: packed.Further})"},
	{"middleware/settle.go", `"github.com/returnleg/returnleg/providers"`, "\"github.com/returnleg/returnleg/internal/packed\"\n\t…"},
	{"middleware/guest.go", `a.site.born(n.born),`, "…\n\t\t\t{Name: \"further\", Value: packed.Further},"},
	{"middleware/guest.go", `"github.com/returnleg/returnleg/sessionstore"`, "\"github.com/returnleg/returnleg/internal/packed\"\n\t…"},
	{"middleware/grant.go", `b.Bool(g.dead)`, `…` + textFurther},
	{"middleware/grant.go", `g.provider, g.label, _ = strings.Cut(id, ":")`, "…\n\tr.Further()"},
	{"providers/token.go", `b.Text(t.Session)`, `…` + textFurther},
	{"providers/token.go", "Session: r.String(),\n\t}", "…\n\tr.Further()"},
	{"middleware/mark.go", `b = packed.AppendTime(b, m.sent)`, `…` + appendFurther},
	{"middleware/mark.go", `sent: r.Time(), version: f.Version}`, "…\n\tr.Further()"},
	{"middleware/page.go", `Value: string(packed.AppendString(b, p.json))}`, `Value: string(packed.AppendString(packed.AppendString(b, p.json), packed.Further))}`},
	{"middleware/page.go", "json: r.String()}", "…\n\tr.Further()"},
	{"middleware/page.go", `b = packed.AppendString(b, result)`, `…` + appendFurther},
	{"middleware/page.go", `Result: r.String()}`, "…\n\t\tr.Further()"},
	// A value of a kind that this version cannot decode.
	{"internal/values/value.go", "\"math/bits\"\n", "…\t\"net/netip\"\n"},
	{"internal/values/value.go", `tagGob        = 28`, "…\n\ttagAddr       = 29"},
	{"internal/values/value.go", `return appendTime(append(b, tagTime), v)`, "…\n\tcase netip.Addr:\n\t\treturn packed.AppendString(append(b, tagAddr), v.String()), nil"},
	{"internal/values/decode.go", "\"math/bits\"\n", "…\t\"net/netip\"\n"},
	{"internal/values/decode.go", `return time.Duration(d.int(64))`, `…
	case tagAddr:
		addr, err := netip.ParseAddr(d.r.String())
		if err != nil {
			return d.fail(ErrMalformed)
		}
		return addr`},
	// The person, and where they are signed in.
	{"middleware/account.go", `b.Text(acc.Provider)`, `…` + textFurther},
	{"middleware/account.go", `claims, acc.Provider = r.String(), r.String()`, "…\n\tr.Further()"},
	{"middleware/index.go", `return string(packed.AppendTime(packed.AppendString(b, device), listed))`, `b = packed.AppendTime(packed.AppendString(b, device), listed)
	return string(packed.AppendString(b, packed.Further))`},
	{"middleware/index.go", `deadline, device, listed = r.Time(), r.String(), r.Time()`, "…\n\tr.Further()"},
	{"middleware/index.go", `{Name: account, Version: version()}`, `{Name: account, Value: packed.Further, Version: version()}`},
	{"middleware/tombstone.go", `{Name: fieldMark, Version: version()}`, `{Name: fieldMark, Value: packed.Further, Version: version()}`},
	{"middleware/tombstone.go", `"github.com/returnleg/returnleg/sessionstore"`, "\"github.com/returnleg/returnleg/internal/packed\"\n\t…"},
	// A sign-in under way, and how it ended.
	{"middleware/flow.go", "b = packed.AppendString(b, f.returnTo)\n\t}", `…` + appendFurther},
	{"middleware/flow.go", "f.returnTo = r.String()\n\t}", "…\n\tr.Further()"},
	{"middleware/flow.go", `{{Name: "path", Value: tag + f.returnTo}}`, `{{Name: "path", Value: tag + f.returnTo}, {Name: "further", Value: packed.Further}}`},
	{"middleware/binding.go", `v = text(append(a.bindingMark(k, c.name, first, string(rest)), first...)) + "." + text(rest)`, `… + ".~further"`},
	{"middleware/login.go", `b = packed.AppendString(b, provider)`, `…` + appendFurther},
	{"middleware/login.go", `of := r.String()`, "…\n\tr.Further()"},
	{"middleware/connection.go", `b = packed.AppendString(b, s.meta.user)`, `…` + appendFurther},
	{"middleware/connection.go", `ok = r.String() == s.id && r.String() == s.meta.user && s.signedIn()`, "…\n\tr.Further()"},
	{"middleware/hop.go", `"access_token", "id_token", "token_type", "response",`, `… "further",`},
	{"middleware/redemption.go", `b.Bool(r.seen)`, `…` + textFurther},
	{"middleware/redemption.go", `_, known := answers[r.reason]`, "p.Further()\n\t…"},
	{"middleware/callback.go", `reason = ReasonDenied`, `reason = "declined"`},
	{"middleware/reason.go", `var answers = map[Reason]struct {
	status        int
	title, detail string
}{`, "…\n\t\"declined\": {http.StatusForbidden, \"You said no\", \"Nothing was changed.\"},"},
	// What guests have paid, and how a record lies in Redis.
	{"middleware/tally.go", `b = packed.AppendUint(b, c.born)`, `…` + appendFurther},
	{"middleware/tally.go", `born: r.Uint(), version: f.Version}`, "…\n\tr.Further()"},
	{"sessionstore/redisstore/script.go", `when = ends + " " + k.Kind + ":" + k.ID`, `… + " further"`},
	{"sessionstore/redisstore/script.go", `args = append(args, metaField, when)`, `args = append(args, metaField, when, "~further", "\x10in another form")`},
}

// buildNext builds the program that these tests are, as of the next minor version: the tree's own
// sources with nextEdits, and nothing else. It ends the test if an edit finds no place any more, or two.
func buildNext(t *testing.T) (program string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"internal/packed/further.go": furtherMembers}
	for _, e := range nextEdits {
		if _, ok := sources[e.file]; !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				t.Fatal(err)
			}
			sources[e.file] = string(b)
		}
		if n := strings.Count(sources[e.file], e.place); n != 1 {
			t.Errorf("%s: %d times %q, want once: the next version needs another edit", e.file, n, e.place)
		}
		sources[e.file] = strings.Replace(sources[e.file], e.place, strings.Replace(e.becomes, "…", e.place, 1), 1)
	}
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
