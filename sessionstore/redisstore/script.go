package redisstore

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/returnleg/returnleg/sessionstore"
)

// script makes a change. Its arguments, after the key: mode; end in milliseconds, or nothing; the
// number of conditions and of deletions; conditions (name, version), deletions (name), and what is
// set (field, value).
//
// The order of its writes matters when memory is full. Redis refuses a command that may need more
// only while the script has not written yet. HSET comes first, and a change that does not fit is
// refused whole. Where the caller sets nothing, HSET only replaces the end by another one of its
// length, and comes last: a session can be prolonged and ended in a Redis that is full.
const script = `
local key, mode, ends = KEYS[1], ARGV[1], ARGV[2]
local there = redis.call('EXISTS', key) == 1
if mode == '0' and not there then return 1 end
if mode == '1' and there then return 2 end
local at = 5
local deletions = at + 2 * ARGV[3]
local sets = deletions + ARGV[4]
for i = at, deletions - 1, 2 do
	local value, version = redis.call('HGET', key, ARGV[i]), ''
	if value and string.byte(value) == 8 then version = string.sub(value, 2, 9) end
	if version ~= ARGV[i + 1] then return 3 end
end
local function each(command, first, last)
	for i = first, last, 1000 do
		redis.call(command, key, unpack(ARGV, i, math.min(i + 999, last)))
	end
end
local function finish()
	if ends ~= '' then redis.call('PEXPIREAT', key, ends) end
end
local own = #ARGV - sets + 1
if ends ~= '' then own = own - 2 end
if own > 0 or not there then
	each('HSET', sets, #ARGV)
	each('HDEL', deletions, sets - 1)
	finish()
	return 0
end
each('HDEL', deletions, sets - 1)
finish()
if ends ~= '' and redis.call('EXISTS', key) == 1 then each('HSET', sets, #ARGV) end
return 0
`

// scriptSum names the script in EVALSHA.
var scriptSum = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// verdicts are what the script's answers mean.
var verdicts = [...]error{nil, sessionstore.ErrNotFound, sessionstore.ErrExists, sessionstore.ErrConflict}

// scriptArg is where EVALSHA takes the script's sum, and EVAL the script.
const scriptArg = 0

// arguments returns those of EVALSHA.
func arguments(name string, k sessionstore.Key, c *sessionstore.Change) []any {
	args := make([]any, 0, 7+2*len(c.If)+len(c.Delete)+2*len(c.Set)+2)
	ends, when := "", ""
	if !c.Expires.IsZero() {
		ends = strconv.FormatInt(c.Expires.UnixMilli(), 10)
		when = ends + " " + k.Kind + ":" + k.ID
	}
	args = append(args, scriptSum, 1, name, int(c.Mode), ends, len(c.If), len(c.Delete))
	for i := range c.If {
		args = append(args, c.If[i].Name, version(c.If[i].Version))
	}
	for _, d := range c.Delete {
		args = append(args, d)
	}
	for i := range c.Set {
		args = append(args, c.Set[i].Name, pack(&c.Set[i]))
	}
	if ends != "" {
		args = append(args, metaField, when)
	}
	return args
}

// metaField is the field that says when the record ends and whose it is. No field of a record has
// that name.
const metaField = ""

// version returns v as the script compares it: nothing, or eight bytes.
func version(v uint64) string {
	if v == 0 {
		return ""
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return string(b[:])
}

// pack returns a value as it is stored: the length of its version, 0 or 8, the version, the value.
func pack(f *sessionstore.Field) string {
	if f.Version == 0 {
		return "\x00" + f.Value
	}
	b := make([]byte, 9, 9+len(f.Value))
	b[0] = 8
	binary.BigEndian.PutUint64(b[1:], f.Version)
	return string(append(b, f.Value...))
}
