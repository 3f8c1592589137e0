package signedin_test

import (
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/bench/internal/clock"
	"github.com/returnleg/returnleg/bench/internal/signedin"
)

// BenchmarkRequest serves one request. Beside the time on the wall, which other programs are in,
// it reports processor time.
func BenchmarkRequest(b *testing.B) {
	all, err := signedin.All()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range all {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			began := clock.Process()
			for b.Loop() {
				if got := c.Serve(); got != http.StatusNoContent {
					b.Fatalf("status %d, want 204", got)
				}
			}
			b.ReportMetric(float64(clock.Process()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// The targets in allocations hold on any machine, whatever else it does.
func TestAllocations(t *testing.T) {
	most := map[string]float64{
		"bare":                                7, // or ratios mean something else than they say
		"returnleg, session untouched":        15,
		"returnleg, User read":                15,
		"returnleg, Token read":               15,
		"returnleg, one of ten scs keys read": 34,
	}
	all, err := signedin.All()
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, c := range all {
		want, ok := most[c.Name]
		if !ok {
			continue
		}
		tested++
		t.Run(c.Name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, func() { c.Serve() }); got > want {
				t.Errorf("%v allocations, want at most %v", got, want)
			}
		})
	}
	if tested != len(most) {
		t.Errorf("%d contenders have a target, want %d", tested, len(most))
	}
}
