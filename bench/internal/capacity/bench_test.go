package capacity_test

import (
	"testing"

	"github.com/returnleg/returnleg/bench/internal/capacity"
)

const few = 20_000 // for a look; the command measures a million

func BenchmarkBytes(b *testing.B) {
	for b.Loop() {
		ours, scs, err := capacity.Bytes(few)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(ours, "B/session")
		b.ReportMetric(scs, "B/scs-session")
		b.ReportMetric(ours/scs, "ratio")
	}
}

func BenchmarkStop(b *testing.B) {
	for b.Loop() {
		ours, err := capacity.OurStop(few)
		if err != nil {
			b.Fatal(err)
		}
		scs, err := capacity.SCSStop(few)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(ours.Wall.Microseconds()), "µs-wall")
		b.ReportMetric(float64(ours.CPU.Microseconds()), "µs-cpu")
		b.ReportMetric(float64(scs.Wall.Microseconds()), "µs-scs-wall")
	}
}

// Whoever starts to sign in and does not come back leaves nothing behind.
func TestStarts(t *testing.T) {
	stored, err := capacity.Starts(1000)
	if err != nil {
		t.Fatal(err)
	}
	if stored != 0 {
		t.Errorf("a thousand starts left %d bytes in the store, want none", stored)
	}
}

func BenchmarkStarts(b *testing.B) {
	if _, err := capacity.Starts(b.N); err != nil {
		b.Fatal(err)
	}
}
