package login_test

import (
	"os"
	"testing"

	"github.com/returnleg/returnleg/bench/internal/login"
	"github.com/returnleg/returnleg/bench/internal/measure"
)

func TestMain(m *testing.M) {
	login.ServeIfChild()
	os.Exit(m.Run())
}

func start(tb testing.TB) []*login.Contender {
	tb.Helper()
	p, err := login.StartProvider()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	all, err := login.All(p)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// BenchmarkLogin signs one person in. Time on the wall holds the provider's work as well: look at
// cpu-ns/op.
func BenchmarkLogin(b *testing.B) {
	for _, c := range start(b) {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs() // shows what is reported below in its place
			s, err := measure.Once(c.Case(), b.N)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(measure.Nanos(s), "cpu-ns/op")
			b.ReportMetric(measure.Allocs(s), "allocs/op")
			b.ReportMetric(measure.Bytes(s), "B/op")
		})
	}
}

// A sign-in asks the provider once: for the tokens. goth asks for the person's profile, too.
func TestCalls(t *testing.T) {
	for i, c := range start(t) {
		t.Run(c.Name, func(t *testing.T) {
			want := []float64{1, 1, 1, 2}[i]
			got, err := c.Calls()
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%v requests for each sign-in, want %v", got, want)
			}
		})
	}
}

// Connections are kept: people who come back together open about as many as they are, once. A transport
// that keeps two for each host, as the default one does, opens nearly one for each sign-in.
func TestConnections(t *testing.T) {
	const people, times = 64, 4
	ours := start(t)[1]
	got, err := ours.Connections(people, times)
	if err != nil {
		t.Fatal(err)
	}
	if ours.Name != "returnleg" || got > 0.5 {
		t.Errorf("%s: %v connections for each sign-in, want 1 of %d, or a few more", ours.Name, got, times)
	}
}
