package values

import (
	"bytes"
	"encoding/gob"
	"errors"
	"reflect"
	"strings"

	"github.com/returnleg/returnleg/internal/packed"
)

// MaxGob is the size in bytes of the largest value that is written or read by gob. gob recurses as
// deep as its input says, and a goroutine that outgrows its stack ends the program.
const MaxGob = 256 << 10

// A TypeError says that a value of a type cannot be written or read. Its text names the type and
// nothing of the value. Err is what gob, or a method of the type, said: that may quote the value.
type TypeError struct {
	Type         string // as Go writes it; "" when reading: a stream that fails names none for sure
	Unregistered bool   // the type, or one inside it, is not known to [gob.Register]
	Err          error
}

func (e *TypeError) Error() string {
	switch {
	case e.Type == "":
		return "values: gob: value cannot be read; is its type known to gob.Register?"
	case e.Unregistered:
		return "values: gob: " + e.Type + ": type is not known to gob.Register"
	default:
		return "values: " + e.Type + ": value cannot be written"
	}
}

func (e *TypeError) Unwrap() error { return e.Err }

var (
	errSize  = errors.New("more than 256 KiB")
	errPanic = errors.New("a method of the type panics")
)

// unregistered is how gob begins to say that; the name of the type follows.
const unregistered = "gob: type not registered for interface: "

func appendGob(b []byte, v any) ([]byte, error) {
	var stream bytes.Buffer
	err := encodeGob(&stream, v)
	if err == nil && stream.Len() > MaxGob {
		err = errSize
	}
	if err != nil {
		e := &TypeError{Type: reflect.TypeOf(v).String(), Err: err}
		if name, ok := strings.CutPrefix(err.Error(), unregistered); ok {
			e.Type, e.Unregistered = name, true
		}
		return b, e
	}
	b = packed.AppendUint(append(b, tagGob), uint64(stream.Len()))
	return append(b, stream.Bytes()...), nil
}

func (d *decoder) gob() any {
	s := d.r.String()
	if d.r.Err() != nil {
		return nil
	}
	if len(s) > MaxGob {
		return d.fail(ErrMalformed)
	}
	v, err := decodeGob(s)
	if err != nil {
		return d.fail(&TypeError{Err: err})
	}
	return v
}

// encodeGob writes v as an interface value, so that the stream names its type.
func encodeGob(stream *bytes.Buffer, v any) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return gob.NewEncoder(stream).Encode(&v)
}

func decodeGob(s string) (v any, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, errPanic
		}
	}()
	r := strings.NewReader(s)
	if err := gob.NewDecoder(r).Decode(&v); err != nil {
		return nil, err
	}
	if r.Len() > 0 {
		return nil, ErrMalformed
	}
	return v, nil
}
