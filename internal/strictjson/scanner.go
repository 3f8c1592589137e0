package strictjson

import "strings"

// A scanner reads a document from front to back, once: the grammar of RFC 8259, and what this package
// asks for besides, are judged in one pass. encoding/json validates byte by byte through a table of
// functions, and would leave duplicates, surrogates and depth for further passes.
type scanner struct {
	text  string
	i     int
	depth int
}

// peek returns the next byte, and 0 at the end: outside of strings, no document has one.
func (s *scanner) peek() byte {
	if s.i < len(s.text) {
		return s.text[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.text) {
		switch s.text[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// open moves behind the bracket that begins an object or array, and reports whether it ends at once.
func (s *scanner) open(end byte) (empty bool, err error) {
	if s.depth++; s.depth > maxDepth {
		return false, ErrDepth
	}
	s.i++
	if s.space(); s.peek() != end {
		return false, nil
	}
	s.i++
	s.depth--
	return true, nil
}

// more moves behind what follows a member or element, and reports whether another one comes.
func (s *scanner) more(end byte) (bool, error) {
	s.space()
	c := s.peek()
	if c != ',' && c != end {
		return false, ErrSyntax
	}
	s.i++
	if c == end {
		s.depth--
		return false, nil
	}
	s.space()
	return true, nil
}

func (s *scanner) object(members Object) error {
	empty, err := s.open('}')
	for more := !empty; more && err == nil; {
		if err = s.member(members); err == nil {
			more, err = s.more('}')
		}
	}
	return err
}

func (s *scanner) member(members Object) error {
	start := s.i
	if err := s.quoted(); err != nil {
		return err
	}
	name := s.text[start+1 : s.i-1]
	if strings.IndexByte(name, '\\') >= 0 {
		name = unquote(s.text[start:s.i])
	}
	if _, twice := members[name]; twice {
		return ErrDuplicate
	}
	if s.space(); s.peek() != ':' {
		return ErrSyntax
	}
	s.i++
	s.space()
	start = s.i
	if err := s.value(); err != nil {
		return err
	}
	members[name] = s.text[start:s.i]
	return nil
}

func (s *scanner) array() error {
	empty, err := s.open(']')
	for more := !empty; more && err == nil; {
		if err = s.value(); err == nil {
			more, err = s.more(']')
		}
	}
	return err
}

func (s *scanner) value() error {
	switch s.peek() {
	case '{':
		return s.object(make(Object))
	case '[':
		return s.array()
	case '"':
		return s.quoted()
	}
	for _, literal := range []string{"true", "false", "null"} {
		if strings.HasPrefix(s.text[s.i:], literal) {
			s.i += len(literal)
			return nil
		}
	}
	return s.number()
}

// number moves behind a number: section 6. What follows it is the caller's to judge, a digit behind a
// leading zero included.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return ErrSyntax
	}
	if s.peek() == '.' {
		if s.i++; !s.digits() {
			return ErrSyntax
		}
	}
	if c := s.peek(); c != 'e' && c != 'E' {
		return nil
	}
	s.i++
	if c := s.peek(); c == '+' || c == '-' {
		s.i++
	}
	if !s.digits() {
		return ErrSyntax
	}
	return nil
}

// digits moves behind digits, and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > start
}

// quoted moves behind a string: section 7.
func (s *scanner) quoted() error {
	if s.peek() != '"' {
		return ErrSyntax
	}
	for i := s.i + 1; i < len(s.text); i++ { // most of a document's bytes pass here: tokens
		switch c := s.text[i]; {
		case c == '"':
			s.i = i + 1
			return nil
		case c < ' ':
			return ErrSyntax
		case c == '\\':
			s.i = i
			if err := s.escape(); err != nil {
				return err
			}
			i = s.i
		}
	}
	return ErrSyntax
}

// escape moves to the last byte of an escape. Half of a surrogate pair is refused: encoding/json would
// replace it, and two different subjects would become one.
func (s *scanner) escape() error {
	s.i++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return ErrSyntax
	}
	r, ok := s.hex()
	if !ok {
		return ErrSyntax
	}
	if r < 0xd800 || r > 0xdfff {
		return nil
	}
	if r > 0xdbff || !strings.HasPrefix(s.text[s.i+1:], `\u`) {
		return ErrText
	}
	s.i += 2
	low, ok := s.hex()
	if !ok {
		return ErrSyntax
	}
	if low < 0xdc00 || low > 0xdfff {
		return ErrText
	}
	return nil
}

// hex moves to the last of the four hexadecimal digits that follow, and returns their value.
func (s *scanner) hex() (n uint, ok bool) {
	for range 4 {
		s.i++
		c := s.peek()
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | uint(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
