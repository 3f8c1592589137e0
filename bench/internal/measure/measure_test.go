package measure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/bench/internal/clock"
	"github.com/returnleg/returnleg/bench/internal/measure"
)

func TestMedian(t *testing.T) {
	rows := []struct {
		name string
		vs   []float64
		want float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 2}, 2},
		{"even: the mean of two", []float64{9, 1, 2, 4}, 3},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			before := slices.Clone(row.vs)
			if got := measure.Median(row.vs); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if !slices.Equal(row.vs, before) {
				t.Errorf("the samples were sorted in place: %v", row.vs)
			}
		})
	}
}

// A slow round is slow for both, and one bad sample does not decide.
func TestRatio(t *testing.T) {
	of := func(ns ...int) (s []measure.Sample) {
		for _, n := range ns {
			s = append(s, measure.Sample{CPU: time.Duration(n)})
		}
		return s
	}
	if got := measure.Ratio(of(20, 400, 90), of(10, 200, 10), measure.Nanos); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
}

// Only what happens between Start and Stop is counted.
func TestOnce(t *testing.T) {
	var sink [][]byte
	allocate := func(n int) {
		for range n {
			sink = append(sink, make([]byte, 4096))
		}
	}
	c := measure.Case{Name: "paused", Run: func(n int, m *measure.Meter) error {
		sink = make([][]byte, 0, 12*n)
		m.Start()
		allocate(n)
		m.Stop()
		allocate(10 * n)
		m.Start()
		allocate(n)
		m.Stop()
		return nil
	}}
	s, err := measure.Once(c, 100)
	if err != nil {
		t.Fatal(err)
	}
	if s.Allocs < 2 || s.Allocs > 4 || s.Bytes < 8192 || s.Bytes > 12000 {
		t.Errorf("%.1f allocations, %.0f bytes; want about 2 and 8192", s.Allocs, s.Bytes)
	}
	if len(sink) != 1200 {
		t.Errorf("%d pieces of work, want 1200", len(sink))
	}
}

// Every case is done in every round, and the order turns.
func TestRounds(t *testing.T) {
	var order strings.Builder
	calibrated := map[string]bool{}
	work := func(name string) measure.Case {
		return measure.Case{Name: name, Run: func(n int, m *measure.Meter) error {
			if calibrated[name] {
				order.WriteString(name)
			}
			calibrated[name] = true
			m.Start()
			for began := clock.Process(); clock.Process()-began < time.Millisecond; {
			}
			m.Stop()
			return nil
		}}
	}
	samples, err := measure.Rounds([]measure.Case{work("a"), work("b"), work("c")}, 3, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := order.String(), "abcbcacab"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	for i, s := range samples {
		if len(s) != 3 {
			t.Errorf("case %d: %d samples, want 3", i, len(s))
		}
	}
}

func TestTable(t *testing.T) {
	table := measure.NewTable("what", "×")
	table.Row("bare", measure.Number(1))
	table.Row("scs", measure.Number(61.04))
	table.Row("goth", measure.Number(181.4))
	var b strings.Builder
	if _, err := table.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := "| what | × |\n|---|--:|\n| bare | 1.00 |\n| scs | 61.0 |\n| goth | 181 |\n\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
