package returnpath_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/required"
	"github.com/returnleg/returnleg/internal/returnpath"
)

const origin = "https://app.example"

// A verdict is where the browsers' URL parser goes: for an address, and for what a decoding
// reader makes of it.
type verdict struct{ Plain, Rebuilt string }

// oracle asks Node, one process for all addresses.
func oracle(t *testing.T, addresses []string) []verdict {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		required.Missing(t, "node", err)
	}
	var in bytes.Buffer
	for _, s := range addresses {
		if err := json.NewEncoder(&in).Encode(map[string]string{"base": origin, "s": s}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, node, "testdata/oracle.mjs")
	command.Stdin, command.Stderr = &in, os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	verdicts := make([]verdict, 0, len(addresses))
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var v verdict
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, v)
	}
	if len(verdicts) != len(addresses) {
		t.Fatalf("the oracle answers %d of %d addresses", len(verdicts), len(addresses))
	}
	return verdicts
}

// The oracle must see what it is there for: it finds each of these abroad.
func TestOracle(t *testing.T) {
	rows := []struct{ name, in, plain, rebuilt string }{
		{"at home", "/a?b#c", origin, origin},
		{"two slashes", "//evil.example", "https://evil.example", "https://evil.example"},
		{"backslash", `/\evil.example`, "https://evil.example", "https://evil.example"},
		{"TAB", "/\t/evil.example", "https://evil.example", "https://evil.example"},
		{"no slashes", "http:evil.example", "http://evil.example", "http://evil.example"},
		{"script", "javascript:alert(1)", "javascript:", "javascript:"},
		{"135 rebuilt, TAB", "/%09/evil.example", origin, "https://evil.example"},
		{"135 rebuilt, backslash", "/%5cevil.example", origin, "https://evil.example"},
		{"135 rebuilt, dot segments", "/a/..%2f%2fevil.example", origin, "https://evil.example"},
		{"rebuilt from the path", "/.//evil.example", origin, "https://evil.example"},
		{"rebuilt twice", "/%252fevil.example", origin, "https://evil.example"},
		{"parameters dropped", "/;a//evil.example", origin, "https://evil.example"},
		{"no address", "https://", "invalid", origin},
	}
	var in []string
	for _, row := range rows {
		in = append(in, row.in)
	}
	for i, got := range oracle(t, in) {
		if want := (verdict{rows[i].plain, rows[i].rebuilt}); got != want {
			t.Errorf("%s: the oracle says %v, want %v", rows[i].name, got, want)
		}
	}
}

// Row 134 of group L: whatever of the corpus is accepted stays, and whatever leaves is refused.
func TestClean_134_Corpus(t *testing.T) {
	all := corpus(t)
	accepted, refused, leaving, built := 0, 0, 0, 0
	for i, v := range oracle(t, all) {
		got, ok := clean(all[i])
		if !ok {
			refused++
		} else {
			accepted++
			stays(t, all[i], got, v)
		}
		switch {
		case v.Plain != origin:
			leaving++
		case v.Rebuilt != origin:
			built++
		}
	}
	t.Logf("%d addresses: %d accepted, %d refused; %d leave as they are, %d more when rebuilt",
		len(all), accepted, refused, leaving, built)
	if leaving < 450 || built < 40 || accepted < 20 {
		t.Errorf("%d leave, %d leave when rebuilt, %d are accepted: is this the corpus?", leaving, built, accepted)
	}
}

// Every address of up to five pieces out of those that matter, and what WithQuery makes of it.
func TestClean_135_Combinations(t *testing.T) {
	pieces := []string{"/", `\`, ".", ";", "%2f", "%5C", "%2e", "%09", "%20", "%25", "%252f", "2f", "?", "#", "@", ":", "\t", " ", "evil.example"}
	var accepted []string
	tried := 0
	var combine func(s string, left int)
	combine = func(s string, left int) {
		tried++
		if got, ok := clean(s); ok {
			accepted = append(accepted, got)
		}
		if left == 0 {
			return
		}
		for _, piece := range pieces {
			combine(s+piece, left-1)
		}
	}
	combine("/", 4)
	for i, v := range oracle(t, accepted) {
		stays(t, accepted[i], accepted[i], v)
		if with := returnpath.WithQuery(accepted[i], "rl", "x"); !is(with) {
			t.Errorf("WithQuery(%q) = %q is refused", accepted[i], with)
		}
	}
	t.Logf("%d addresses: %d accepted", tried, len(accepted))
	if len(accepted) < 1000 {
		t.Errorf("%d of %d are accepted: too few to mean anything", len(accepted), tried)
	}
}

func stays(t *testing.T, in, out string, v verdict) {
	t.Helper()
	if v.Plain != origin || v.Rebuilt != origin {
		t.Errorf("Clean(%q) = %q leads to %s, rebuilt to %s", in, out, v.Plain, v.Rebuilt)
	}
}

func is(s string) bool {
	_, ok := clean(s)
	return ok
}
