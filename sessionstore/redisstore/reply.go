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

// checkHash returns an error unless reply is the hash of k's record, or an empty one.
func checkHash(reply any, k sessionstore.Key) error {
	fields, ok := reply.([]any)
	if !ok || len(fields)%2 != 0 {
		return errReply
	}
	owner := false
	for i := 0; i < len(fields); i += 2 {
		name, ok1 := fields[i].([]byte)
		value, ok2 := fields[i+1].([]byte)
		if !ok1 || !ok2 {
			return errReply
		}
		if len(name) == 0 {
			if _, of, ok := meta(value); !ok || !isName(of, k) {
				return errReply
			}
			owner = true
			continue
		}
	}
	if len(fields) > 0 && !owner {
		return errReply
	}
	return nil
}

// isField reports whether value is a field's as this version writes it. One of a later version, or by
// another hand, is not there for us.
func isField(value []byte) bool {
	return len(value) > 0 && (value[0] == 0 || value[0] == 8 && len(value) >= 9)
}

// record returns the record of a hash that passed checkHash.
func record(fields []any) sessionstore.Record {
	var ends int64
	size := 0
	for _, f := range fields {
		size += len(f.([]byte))
	}
	var b sessionstore.Builder
	b.Grow(len(fields)/2, size)
	for i := 0; i < len(fields); i += 2 {
		name, value := fields[i].([]byte), fields[i+1].([]byte)
		if len(name) == 0 {
			ends, _, _ = meta(value)
			continue
		}
		if !isField(value) {
			continue
		}
		var v uint64
		if value[0] == 8 {
			v = binary.BigEndian.Uint64(value[1:])
		}
		b.Add(name, v, value[1+value[0]:])
	}
	return b.Record(time.UnixMilli(ends))
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

// isName reports whether s is the kind and id of k.
func isName(s []byte, k sessionstore.Key) bool {
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
