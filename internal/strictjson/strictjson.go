// Package strictjson reads JSON that somebody else wrote and that decides who a person is.
//
// The decoder of encoding/json is made for friendly input: it takes a name in any case, the last of
// two equal names, and replaces what is not UTF-8. Two readers of one document can then see two
// different documents. Parse takes only what every reader understands in the same way.
package strictjson

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Reasons why [Parse] refuses a document.
var (
	ErrSyntax    = errors.New("strictjson: not a JSON object")
	ErrText      = errors.New("strictjson: not Unicode text")
	ErrDuplicate = errors.New("strictjson: name twice in one object")
	ErrDepth     = errors.New("strictjson: nested too deep")
)

// maxDepth is far more than any protocol document has, and far less than any stack.
const maxDepth = 32

// An Object is a JSON object: its members, each still encoded, by their exact names.
type Object map[string]string

// Parse returns the object that text is. It refuses anything that is not exactly one object of
// UTF-8 text, that has a name twice in any object, at any depth (after unescaping, compared
// exactly), half of a surrogate pair, or more than 32 levels. The members, and what is read from
// them, are parts of text where nothing in them is escaped.
//
// RFC 8259, section 4, leaves the meaning of equal names open:
// https://www.rfc-editor.org/rfc/rfc8259#section-4
func Parse(text string) (Object, error) {
	if !utf8.ValidString(text) {
		return nil, ErrText
	}
	s := scanner{text: text}
	if s.space(); s.peek() != '{' {
		return nil, ErrSyntax
	}
	// Room for its members, as far as a document that has a use is likely to have.
	o := make(Object, min(strings.Count(text, `":`), 32))
	if err := s.object(o); err != nil {
		return nil, err
	}
	if s.space(); s.i < len(text) {
		return nil, ErrSyntax
	}
	return o, nil
}

// Absent reports whether there is no member name, or it is null.
func (o Object) Absent(name string) bool {
	raw, ok := o[name]
	return !ok || raw == "null"
}

// String returns the member name if it is a string.
func (o Object) String(name string) (s string, ok bool) {
	raw := o[name]
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return unquote(raw), true
}

// Strings returns the member name if it is an array of strings.
func (o Object) Strings(name string) (ss []string, ok bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	var elements []*string
	if json.Unmarshal([]byte(raw), &elements) != nil {
		return nil, false
	}
	ss = make([]string, 0, len(elements))
	for _, e := range elements {
		if e == nil {
			return nil, false
		}
		ss = append(ss, *e)
	}
	return ss, true
}

// Number returns the member name if it is a number that a float64 can hold.
func (o Object) Number(name string) (n float64, ok bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseFloat(raw, 64)
	return n, err == nil
}

// True reports whether the member name is the literal true; "true" and 1 are not.
func (o Object) True(name string) bool { return o[name] == "true" }

// Encode returns o as JSON, its names in order, exactly as json.Marshal does. Most objects need only
// be put together again, which costs a tenth of that.
func (o Object) Encode() (json.RawMessage, error) {
	names, size := make([]string, 0, 32), len("{}") // most need no more, and stay on the stack
	for name, raw := range o {
		if !plain(name) || !verbatim(raw) {
			return o.marshal()
		}
		names = append(names, name)
		size += len(name) + len(raw) + len(`"":,`)
	}
	slices.Sort(names)
	b := append(make([]byte, 0, size), '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
		b = append(b, o[name]...)
	}
	return append(b, '}'), nil
}

func (o Object) marshal() (json.RawMessage, error) {
	m := make(map[string]json.RawMessage, len(o))
	for name, raw := range o {
		m[name] = json.RawMessage(raw)
	}
	return json.Marshal(m)
}

// escaped are the bytes that json.Marshal escapes, or that may begin what it escapes, so that JSON can
// stand in a page: the two line separators begin with 0xe2.
var escaped = [256]bool{'<': true, '>': true, '&': true, 0xe2: true}

// plain reports whether json.Marshal would write a name as it is.
func plain(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c == '"' || c == '\\' || escaped[c] {
			return false
		}
	}
	return true
}

// verbatim reports whether json.Marshal would write a value as it is: it leaves out the space
// between tokens.
func verbatim(raw string) bool {
	str := len(raw) > 0 && raw[0] == '"'
	for _, c := range []byte(raw) {
		if escaped[c] || c <= ' ' && !str {
			return false
		}
	}
	return true
}

// unquote returns what the valid JSON string raw means.
func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal([]byte(raw), &s) != nil {
		return ""
	}
	return s
}
