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
type Object map[string]json.RawMessage

// Parse returns the object that data is. It refuses anything that is not exactly one object of
// UTF-8 text, that has a name twice in any object, at any depth (after unescaping, compared
// exactly), half of a surrogate pair, or more than 32 levels. The members alias data.
//
// RFC 8259, section 4, leaves the meaning of equal names open: https://www.rfc-editor.org/rfc/rfc8259#section-4
func Parse(data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return nil, ErrText
	}
	s := scanner{data: data, text: string(data)}
	s.space()
	// The depth is bounded here, before json.Valid keeps a stack of its own for each level.
	if s.i == len(data) || data[s.i] != '{' {
		return nil, ErrSyntax
	}
	if tooDeep(data) {
		return nil, ErrDepth
	}
	if !json.Valid(data) {
		return nil, ErrSyntax
	}
	o := make(Object)
	if err := s.object(o); err != nil {
		return nil, err
	}
	return o, nil
}

// Absent reports whether there is no member name, or it is null.
func (o Object) Absent(name string) bool {
	raw, ok := o[name]
	return !ok || string(raw) == "null"
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
	if json.Unmarshal(raw, &elements) != nil {
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
	n, err := strconv.ParseFloat(string(raw), 64)
	return n, err == nil
}

// True reports whether the member name is the literal true; "true" and 1 are not.
func (o Object) True(name string) bool { return string(o[name]) == "true" }

// Encode returns o as JSON, its names in order, exactly as json.Marshal does. Most objects need only
// be put together again, which costs a tenth of that.
func (o Object) Encode() (json.RawMessage, error) {
	names, size := make([]string, 0, len(o)), len("{}")
	for name, raw := range o {
		if !plain(name) || !verbatim(raw) {
			return json.Marshal(o)
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

// plain reports whether json.Marshal would write a name as it is.
func plain(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c == '"' || c == '\\' || html(c) {
			return false
		}
	}
	return true
}

// verbatim reports whether json.Marshal would write a value as it is: it leaves out the space
// between tokens.
func verbatim(raw json.RawMessage) bool {
	str := len(raw) > 0 && raw[0] == '"'
	for _, c := range raw {
		if html(c) || c <= ' ' && !str {
			return false
		}
	}
	return true
}

// html reports whether c is, or may begin, what json.Marshal escapes so that JSON can stand in a
// page: the two line separators begin with 0xe2.
func html(c byte) bool { return c == '<' || c == '>' || c == '&' || c == 0xe2 }

// tooDeep reports whether data opens more than maxDepth brackets at once, outside of strings.
func tooDeep(data []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// A scanner walks a document that json.Valid has accepted: only what it leaves open is checked.
type scanner struct {
	data []byte
	text string // the same; names are parts of it
	i    int
}

func (s *scanner) space() {
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) object(members Object) error {
	s.i++
	for s.space(); s.data[s.i] != '}'; s.space() {
		if s.data[s.i] == ',' {
			s.i++
			continue
		}
		start := s.i
		if err := s.quoted(); err != nil {
			return err
		}
		name := s.text[start+1 : s.i-1]
		if strings.IndexByte(name, '\\') >= 0 {
			name = unquote(s.data[start:s.i])
		}
		if _, twice := members[name]; twice {
			return ErrDuplicate
		}
		s.space()
		s.i++ // the colon
		s.space()
		start = s.i
		if err := s.value(); err != nil {
			return err
		}
		members[name] = json.RawMessage(s.data[start:s.i:s.i])
	}
	s.i++
	return nil
}

func (s *scanner) array() error {
	s.i++
	for s.space(); s.data[s.i] != ']'; s.space() {
		if s.data[s.i] == ',' {
			s.i++
			continue
		}
		if err := s.value(); err != nil {
			return err
		}
	}
	s.i++
	return nil
}

func (s *scanner) value() error {
	switch s.data[s.i] {
	case '{':
		return s.object(make(Object))
	case '[':
		return s.array()
	case '"':
		return s.quoted()
	}
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return nil
		}
		s.i++
	}
	return nil
}

// quoted moves behind a string. Half of a surrogate pair is refused: encoding/json would replace it,
// and two different subjects would become one.
func (s *scanner) quoted() error {
	for s.i++; s.data[s.i] != '"'; s.i++ {
		if s.data[s.i] != '\\' {
			continue
		}
		s.i++
		if s.data[s.i] != 'u' {
			continue
		}
		r := s.hex(s.i + 1)
		s.i += 4
		if r < 0xd800 || r > 0xdfff {
			continue
		}
		low := s.hex(s.i + 3)
		if r > 0xdbff || s.data[s.i+1] != '\\' || s.data[s.i+2] != 'u' || low < 0xdc00 || low > 0xdfff {
			return ErrText
		}
		s.i += 6
	}
	s.i++
	return nil
}

// hex returns the four hexadecimal digits at i, or 0 if there are none.
func (s *scanner) hex(i int) uint64 {
	if i+4 > len(s.data) {
		return 0
	}
	n, err := strconv.ParseUint(string(s.data[i:i+4]), 16, 32)
	if err != nil {
		return 0
	}
	return n
}

// unquote returns what the valid JSON string raw means.
func unquote(raw []byte) string {
	for _, c := range raw {
		if c == '\\' {
			var s string
			if json.Unmarshal(raw, &s) != nil {
				return ""
			}
			return s
		}
	}
	return string(raw[1 : len(raw)-1])
}
