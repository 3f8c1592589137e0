package redisstore

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of what one reply may hold besides its size in all.
const (
	maxDepth  = 8       // of arrays within arrays: each level takes stack from whoever reads it
	maxLine   = 1 << 16 // of a simple string or an error
	maxDigits = 20      // of a length: an int64 has 19
)

// Bytes that a reader takes for a string, besides its own, and for an element of an array.
const (
	bulkCost    = 40
	elementCost = 16
)

// What a reply is refused for.
var (
	errForeign   = errors.New("this is not a Redis server")
	errMalformed = errors.New("malformed reply")
	errTooLarge  = errors.New("reply is too large")
)

// A scanner follows a RESP stream without keeping any of it. It sees lengths before a reader does
// who would allocate what they announce.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type scanner struct {
	max int64 // for one reply

	kind    byte // of the line that is being read; 0 between lines
	digits  int  // of a length
	minus   bool
	cr      bool
	number  int64
	line    int   // bytes of a line that is text
	skip    int64 // bytes of a bulk string that are still to come, its line end included
	spent   int64 // of max, by this reply
	depth   int
	left    [maxDepth]int64 // elements that each open array lacks
	started int64           // replies, whole or not
	ended   int64           // replies, whole
}

// between reports whether no reply is open.
func (s *scanner) between() bool { return s.started == s.ended }

// scan follows p, and returns an error if nobody should read it.
func (s *scanner) scan(p []byte) error {
	for len(p) > 0 {
		switch {
		case s.skip > 0:
			n := min(s.skip, int64(len(p)))
			p = p[n:]
			s.skip -= n
			if s.skip == 0 {
				s.end()
			}
		case s.kind == 0 && s.depth > 0 && p[0] == '$':
			rest, err := s.bulk(p)
			if err != nil {
				return err
			}
			p = rest
		case s.kind == 0:
			if err := s.begin(p[0]); err != nil {
				return err
			}
			p = p[1:]
		case s.kind == '$' || s.kind == '*':
			if err := s.length(p[0]); err != nil {
				return err
			}
			p = p[1:]
		default:
			n := bytes.IndexByte(p, '\n') + 1
			if n == 0 {
				n = len(p)
			}
			s.line += n
			if s.line > maxLine {
				return fmt.Errorf("%w: line of more than %d bytes", errTooLarge, maxLine)
			}
			if s.spent += int64(n); s.spent > s.max {
				return fmt.Errorf("%w: more than %d bytes", errTooLarge, s.max)
			}
			if p[n-1] == '\n' {
				s.end()
			}
			p = p[n:]
		}
	}
	return nil
}

// begin takes the first byte of an element.
func (s *scanner) begin(c byte) error {
	switch c {
	case '+', '-', ':', '$', '*':
	default:
		if s.started == 0 {
			return errForeign
		}
		return fmt.Errorf("%w: unknown type", errMalformed)
	}
	if s.depth == 0 {
		s.started++
	}
	if s.kind = c; c != '$' && c != '*' {
		s.spent += bulkCost // judged with the first bytes of the line
	}
	s.line, s.number, s.digits, s.minus, s.cr = 0, 0, 0, false, false
	return nil
}

// bulk takes the beginning of a string in an array, which most elements are: its length at one stroke
// if all of it is here, and else its first byte.
func (s *scanner) bulk(p []byte) (rest []byte, err error) {
	n, rest, ok := length(p, '$')
	if !ok {
		return p[1:], s.begin(p[0])
	}
	s.kind, s.number, s.minus = '$', int64(n), false
	return rest, s.open()
}

// length takes a byte of a length, or of the line end behind it.
func (s *scanner) length(c byte) error {
	switch {
	case c == '\n' && s.cr:
		return s.open()
	case s.cr:
	case c == '\r' && s.digits > 0 && (!s.minus || s.number == 1):
		s.cr = true
		return nil
	case c == '-' && s.digits == 0 && !s.minus:
		s.minus = true
		return nil
	case '0' <= c && c <= '9':
		s.digits++
		s.number = s.number*10 + int64(c-'0')
		// Before it can overflow.
		if s.number > s.max {
			return fmt.Errorf("%w: more than %d bytes announced", errTooLarge, s.max)
		}
		if s.digits <= maxDigits {
			return nil
		}
	}
	return fmt.Errorf("%w: length", errMalformed)
}

// open begins what a length announced.
func (s *scanner) open() error {
	cost := bulkCost + s.number
	if s.kind == '*' {
		cost = s.number * elementCost
	}
	if s.minus { // null
		s.end()
		return nil
	}
	if s.spent += cost; s.spent > s.max {
		return fmt.Errorf("%w: more than %d bytes announced", errTooLarge, s.max)
	}
	if s.kind == '$' {
		s.skip = s.number + 2
		return nil
	}
	if s.number == 0 {
		s.end()
		return nil
	}
	if s.depth == maxDepth {
		return fmt.Errorf("%w: arrays in arrays, %d deep", errTooLarge, maxDepth+1)
	}
	s.left[s.depth] = s.number
	s.depth++
	s.kind = 0
	return nil
}

// end ends an element, and the arrays whose last it was.
func (s *scanner) end() {
	s.kind = 0
	for s.depth > 0 {
		s.left[s.depth-1]--
		if s.left[s.depth-1] > 0 {
			return
		}
		s.depth--
	}
	s.ended++
	s.spent = 0
}
