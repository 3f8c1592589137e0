package redisstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// errReply is a reply that is not one to what was asked: the connection is out of step, or the key
// belongs to somebody else. Either way it says nothing about the record.
var errReply = errors.New("reply does not belong to the command")

// A hash is a record while its fields come in.
type hash struct {
	fields sessionstore.Builder
	ends   int64
	owned  bool // the field that says whose it is was there
}

// add takes one field of k's record.
func (h *hash) add(k sessionstore.Key, name, value []byte) error {
	if len(name) == 0 {
		ends, of, ok := meta(value)
		if !ok || !isName(of, k) {
			return errReply
		}
		h.ends, h.owned = ends, true
		return nil
	}
	if !isField(value) {
		return nil
	}
	var v uint64
	if value[0] == 8 {
		v = binary.BigEndian.Uint64(value[1:])
	}
	h.fields.Add(name, v, value[1+value[0]:])
	return nil
}

// record returns the record that was read.
func (h *hash) record() (sessionstore.Record, error) {
	if !h.owned {
		return sessionstore.Record{}, errReply
	}
	return h.fields.Record(time.UnixMilli(h.ends)), nil
}

// read reads the reply as redigo returns it: the hash of k's record, or an empty one.
func (h *hash) read(k sessionstore.Key, reply any) (found bool, err error) {
	fields, ok := reply.([]any)
	if !ok || len(fields)%2 != 0 {
		return false, errReply
	}
	size := 0
	for _, f := range fields {
		b, _ := f.([]byte)
		size += len(b)
	}
	h.fields.Grow(len(fields)/2, size)
	for i := 0; i < len(fields); i += 2 {
		name, ok1 := fields[i].([]byte)
		value, ok2 := fields[i+1].([]byte)
		if !ok1 || !ok2 {
			return false, errReply
		}
		if err := h.add(k, name, value); err != nil {
			return false, err
		}
	}
	return len(fields) > 0, nil
}

// scan reads the reply as it is on the wire.
func (h *hash) scan(k sessionstore.Key, reply []byte) (found bool, err error) {
	n, rest, ok := length(reply, '*')
	if !ok || n%2 != 0 {
		return false, errReply
	}
	// A length and two line ends around each string are more than a record has in their place.
	h.fields.Grow(0, len(rest))
	for range n / 2 {
		var name, value []byte
		if name, rest, ok = bulk(rest); !ok {
			return false, errReply
		}
		if value, rest, ok = bulk(rest); !ok {
			return false, errReply
		}
		if err := h.add(k, name, value); err != nil {
			return false, err
		}
	}
	if len(rest) > 0 {
		return false, errReply
	}
	return n > 0, nil
}

// length reads a line that has this type and a length.
func length(p []byte, kind byte) (n int, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != kind {
		return 0, nil, false
	}
	for i := 1; i < len(p) && i <= 1+maxDigits; i++ {
		switch c := p[i]; {
		case '0' <= c && c <= '9' && n <= len(p): // before it can overflow: what it counts is in p
			n = n*10 + int(c-'0')
		case c == '\r' && i > 1 && i+1 < len(p) && p[i+1] == '\n':
			return n, p[i+2:], true
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// bulk reads a string.
func bulk(p []byte) (s, rest []byte, ok bool) {
	n, p, ok := length(p, '$')
	if !ok || n > len(p)-2 || p[n] != '\r' || p[n+1] != '\n' {
		return nil, nil, false
	}
	return p[:n], p[n+2:], true
}

// isField reports whether value is a field's as this version writes it. One of a later version, or by
// another hand, is not there for us.
func isField(value []byte) bool {
	return len(value) > 0 && (value[0] == 0 || value[0] == 8 && len(value) >= 9)
}

// meta reads the field that says when a record ends and whose it is.
func meta(value []byte) (ends int64, of []byte, ok bool) {
	ms, of, ok := bytes.Cut(value, []byte(" "))
	if !ok {
		return 0, nil, false
	}
	ends, err := strconv.ParseInt(string(ms), 10, 64)
	return ends, of, err == nil
}

// isName reports whether s begins with the kind and id of k. What follows a space, which is in neither, is
// a later version's.
func isName(s []byte, k sessionstore.Key) bool {
	s, _, _ = bytes.Cut(s, []byte(" "))
	n := len(k.Kind)
	return len(s) == n+1+len(k.ID) && string(s[:n]) == k.Kind && s[n] == ':' && string(s[n+1:]) == k.ID
}

func checkVerdict(reply any) error {
	if n, ok := reply.(int64); !ok || n < 0 || n >= int64(len(verdicts)) {
		return errReply
	}
	return nil
}

func checkCount(reply any) error {
	if n, ok := reply.(int64); !ok || n < 0 || n > 1 {
		return errReply
	}
	return nil
}

func checkPong(reply any) error {
	if s, ok := reply.(string); !ok || s != "PONG" {
		return errReply
	}
	return nil
}
