package values_test

import (
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/internal/values"
)

// typical is a session of ten values.
var typical = map[string]any{
	"userID":   "0c9d6a3e-5a1f-4c3b-9f0e-2d7c1b8a6f54",
	"name":     "Ada Lovelace",
	"visits":   42,
	"admin":    false,
	"seen":     moment,
	"theme":    "dark",
	"flash":    "Your settings were saved.",
	"cart":     []string{"a-1", "b-2", "c-3"},
	"limit":    15 * time.Minute,
	"settings": map[string]string{"lang": "en", "tz": "Europe/Berlin"},
}

func BenchmarkAppend(b *testing.B) {
	var room []byte
	b.ReportAllocs()
	for b.Loop() {
		room = room[:0]
		for _, v := range typical {
			var err error
			if room, err = values.Append(room, v); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var frames []string
	for _, v := range typical {
		frames = append(frames, encode(b, v))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, frame := range frames {
			if _, err := values.Decode(frame); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// One of the ten, which is what most requests read.
func BenchmarkDecode_One(b *testing.B) {
	frame := encode(b, typical["userID"])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := values.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScsEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (scs.GobCodec{}).Encode(moment, typical); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScsDecode(b *testing.B) {
	encoded, err := scs.GobCodec{}.Encode(moment, typical)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := (scs.GobCodec{}).Decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGobFrame(b *testing.B) {
	u := user{Name: "Ada", Roles: []role{"admin"}, Seen: moment}
	frame := encode(b, u)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(b, u)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decode(b, frame)
		}
	})
}
