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
