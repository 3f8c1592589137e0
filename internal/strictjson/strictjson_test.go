package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/returnleg/returnleg/internal/strictjson"
)

// documents are those of the test and the seeds of the fuzz target.
var documents = []struct {
	name string
	in   string
	want error
}{
	{"empty object", `{}`, nil},
	{"space around", " \t\r\n{ \"a\" : 1 }\n", nil},
	{"all kinds", `{"a":"x","b":1.5e3,"c":true,"d":false,"e":null,"f":[1,[],{}],"g":{"a":{"a":1}}}`, nil},
	{"names that differ by case", `{"a":1,"A":2}`, nil},
	{"names that fold", `{"s":1,"ſ":2}`, nil},
	{"escapes", `{"a\"\\\/\b\f\n\r\t\u00e9":"\u00e9\ud83d\ude00"}`, nil},
	{"32 deep", strings.Repeat(`{"a":`, 31) + "{}" + strings.Repeat("}", 31), nil},
	{"brackets in strings", `{"a":"` + strings.Repeat("[{", 100) + `"}`, nil},
	{"brackets behind an escaped quote", `{"a":"\"` + strings.Repeat("[{", 100) + `"}`, nil},
	{"nothing", ``, strictjson.ErrSyntax},
	{"space", `  `, strictjson.ErrSyntax},
	{"array", `[{}]`, strictjson.ErrSyntax},
	{"string", `"{}"`, strictjson.ErrSyntax},
	{"null", `null`, strictjson.ErrSyntax},
	{"trailing", `{}x`, strictjson.ErrSyntax},
	{"two", `{}{}`, strictjson.ErrSyntax},
	{"not closed", `{"a":1`, strictjson.ErrSyntax},
	{"trailing comma", `{"a":1,}`, strictjson.ErrSyntax},
	{"single quotes", `{'a':1}`, strictjson.ErrSyntax},
	{"comment", `{/**/}`, strictjson.ErrSyntax},
	{"leading zero", `{"a":01}`, strictjson.ErrSyntax},
	{"numbers", `{"a":[0,-0,10,-1.50,0e0,1E+2,2e-03,-0.0]}`, nil},
	{"numbers that are none", `{"a":-}`, strictjson.ErrSyntax},
	{"point without digits", `{"a":1.}`, strictjson.ErrSyntax},
	{"digits without anything before the point", `{"a":.5}`, strictjson.ErrSyntax},
	{"exponent without digits", `{"a":1e+}`, strictjson.ErrSyntax},
	{"plus", `{"a":+1}`, strictjson.ErrSyntax},
	{"literal cut short", `{"a":tru}`, strictjson.ErrSyntax},
	{"literal and more", `{"a":nullx}`, strictjson.ErrSyntax},
	{"no value", `{"a":}`, strictjson.ErrSyntax},
	{"no colon", `{"a" 1}`, strictjson.ErrSyntax},
	{"name without quotes", `{a:1}`, strictjson.ErrSyntax},
	{"two values", `{"a":1 2}`, strictjson.ErrSyntax},
	{"comma first", `{,"a":1}`, strictjson.ErrSyntax},
	{"array not closed", `{"a":[1`, strictjson.ErrSyntax},
	{"array closed as an object", `{"a":[1}`, strictjson.ErrSyntax},
	{"trailing comma in an array", `{"a":[1,]}`, strictjson.ErrSyntax},
	{"string not closed", `{"a":"b`, strictjson.ErrSyntax},
	{"string that ends in a backslash", `{"a":"b\`, strictjson.ErrSyntax},
	{"unknown escape", `{"a":"\x41"}`, strictjson.ErrSyntax},
	{"escape of three digits", `{"a":"\u004"}`, strictjson.ErrSyntax},
	{"escape of no digits", `{"a":"\u00g0"}`, strictjson.ErrSyntax},
	{"surrogate and an escape of no digits", `{"a":"\ud83d\uzzzz"}`, strictjson.ErrSyntax},
	{"NUL", "{\x00}", strictjson.ErrSyntax},
	{"delete in a string", "{\"a\":\"\x7f\"}", nil},
	{"NaN", `{"a":NaN}`, strictjson.ErrSyntax},
	{"control character", "{\"a\":\"\n\"}", strictjson.ErrSyntax},
	{"BOM", "\ufeff{}", strictjson.ErrSyntax},
	{"UTF-16", "\xff\xfe{\x00}\x00", strictjson.ErrText},
	{"not UTF-8", "{\"a\":\"\xff\"}", strictjson.ErrText},
	{"UTF-8 of a surrogate", "{\"a\":\"\xed\xa0\x80\"}", strictjson.ErrText},
	{"high surrogate alone", `{"a":"\ud800"}`, strictjson.ErrText},
	{"high surrogate and text", `{"a":"\ud800x"}`, strictjson.ErrText},
	{"high surrogate and another", `{"a":"\ud800\ud800"}`, strictjson.ErrText},
	{"low surrogate alone", `{"a":"\udc00"}`, strictjson.ErrText},
	{"low surrogate first", `{"a":"\udc00\ud800"}`, strictjson.ErrText},
	{"surrogate in a name", `{"\ud800":1}`, strictjson.ErrText},
	{"name twice", `{"a":1,"a":1}`, strictjson.ErrDuplicate},
	{"name twice, escaped", `{"a":1,"\u0061":2}`, strictjson.ErrDuplicate},
	{"name twice, deep", `{"a":[[{"b":1,"b":2}]]}`, strictjson.ErrDuplicate},
	{"name twice, apart", `{"a":1,"b":{"a":1},"a":3}`, strictjson.ErrDuplicate},
	{"33 deep", strings.Repeat(`{"a":`, 32) + "{}" + strings.Repeat("}", 32), strictjson.ErrDepth},
	{"a million deep", `{"a":` + strings.Repeat("[", 1e6), strictjson.ErrDepth},
}

func TestParse(t *testing.T) {
	for _, row := range documents {
		t.Run(row.name, func(t *testing.T) {
			o, err := strictjson.Parse(row.in)
			if !errors.Is(err, row.want) || (o == nil) != (row.want != nil) {
				t.Errorf("Parse: got %v, want %v", err, row.want)
			}
		})
	}
}

func TestObject(t *testing.T) {
	o, err := strictjson.Parse(`{"s":"a\u00e9","e":"","n":1.5,"neg":-2,"big":1e400,"t":true,"f":false,"null":null,"a":["x","y"],"mixed":["x",null],"none":[],"o":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		s      string
		isS    bool
		n      float64
		isN    bool
		ss     []string
		isSS   bool
		truth  bool
		absent bool
	}{
		"s":       {s: "aé", isS: true},
		"e":       {isS: true},
		"n":       {n: 1.5, isN: true},
		"neg":     {n: -2, isN: true},
		"big":     {},
		"t":       {truth: true},
		"f":       {},
		"null":    {absent: true},
		"missing": {absent: true},
		"a":       {ss: []string{"x", "y"}, isSS: true},
		"mixed":   {},
		"none":    {isSS: true},
		"o":       {},
	} {
		if s, ok := o.String(name); s != want.s || ok != want.isS {
			t.Errorf("String(%s): got %q %v", name, s, ok)
		}
		if n, ok := o.Number(name); ok != want.isN || ok && n != want.n {
			t.Errorf("Number(%s): got %v %v", name, n, ok)
		}
		if ss, ok := o.Strings(name); !slices.Equal(ss, want.ss) || ok != want.isSS {
			t.Errorf("Strings(%s): got %v %v", name, ss, ok)
		}
		if got := o.True(name); got != want.truth {
			t.Errorf("True(%s): got %v", name, got)
		}
		if got := o.Absent(name); got != want.absent {
			t.Errorf("Absent(%s): got %v", name, got)
		}
	}
}

// Encode has a short way for most objects. Where it would differ from json.Marshal it does not take it.
func TestEncode(t *testing.T) {
	rows := []struct{ name, in string }{
		{"empty", `{}`},
		{"names in order", `{"b":1,"a":"x y","c":[true,null,"z"]}`},
		{"space between tokens", "{\"a\" : [ 1,\t2 ] ,\n\"b\": {} }"},
		{"escapes in a value", `{"a":"\u0041\n\/"}`},
		{"escapes in a name", `{"a\n\"":1,"\\":2}`},
		{"what could end a script", `{"a":"</script>","b":["&"],"<":1}`},
		{"line separators", "{\"a\":\"\u2028\",\"\u2029\":1}"},
		{"other text", `{"é":"Évariste – 日本"}`},
		{"delete", "{\"\x7f\":\"\x7f\"}"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			o, err := strictjson.Parse(row.in)
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(raw(o))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := o.Encode(); err != nil || string(got) != string(want) {
				t.Errorf("got %s %v, want %s", got, err, want)
			}
		})
	}
}

// raw returns o as encoding/json knows such objects.
func raw(o strictjson.Object) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for name, value := range o {
		m[name] = json.RawMessage(value)
	}
	return m
}

// What Parse takes, encoding/json takes, sees the same members in, and finds nothing to replace in. What
// Parse calls no JSON object, it does not take either.
func FuzzParse(f *testing.F) {
	for _, row := range documents {
		if len(row.in) < 4<<10 {
			f.Add([]byte(row.in))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := strictjson.Parse(string(data))
		if errors.Is(err, strictjson.ErrSyntax) && json.Valid(data) && bytes.IndexByte(data, '{') == len(data)-len(bytes.TrimLeft(data, " \t\r\n")) {
			t.Fatal("a JSON object was refused")
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if len(o) != len(want) {
			t.Fatalf("members: got %d, want %d", len(o), len(want))
		}
		marshaled, err := json.Marshal(raw(o))
		if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if got, err := o.Encode(); err != nil || string(got) != string(marshaled) {
			t.Errorf("Encode: got %q %v, want %q", got, err, marshaled)
		}
		for name, raw := range want {
			if o[name] != string(raw) {
				t.Errorf("member %q: got %q, want %q", name, o[name], raw)
			}
			var s string
			isString := len(raw) > 0 && raw[0] == '"'
			if isString {
				if err := json.Unmarshal(raw, &s); err != nil {
					t.Fatal(err)
				}
			}
			if got, ok := o.String(name); got != s || ok != isString || !utf8.ValidString(got) {
				t.Errorf("String(%q): got %q %v, want %q %v", name, got, ok, s, isString)
			}
		}
	})
}
