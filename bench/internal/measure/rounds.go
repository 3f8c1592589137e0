package measure

import (
	"fmt"
	"slices"
	"time"
)

// A Case is a piece of work. Run does it n times between Start and Stop of m, as often as it likes.
type Case struct {
	Name string
	Run  func(n int, m *Meter) error
}

// A Sample is what one time of the work took, on average over a round.
type Sample struct {
	CPU           time.Duration // of this process
	Wall          time.Duration // by the clock on the wall
	Allocs, Bytes float64
}

// Rounds does the work of all cases in turn, each for about so long, as many times as rounds says.
// Every round begins with another case, so that none is always the one that runs after the
// garbage of another. It returns the samples of each case, round by round.
func Rounds(cases []Case, rounds int, each time.Duration) ([][]Sample, error) {
	times := make([]int, len(cases))
	for i, c := range cases {
		n, err := calibrate(c, each)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		times[i] = n
	}
	samples := make([][]Sample, len(cases))
	for round := range rounds {
		for i := range cases {
			j := (i + round) % len(cases)
			s, err := Once(cases[j], times[j])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cases[j].Name, err)
			}
			samples[j] = append(samples[j], s)
		}
	}
	return samples, nil
}

// Once does the work n times.
func Once(c Case, n int) (Sample, error) {
	var m Meter
	if err := c.Run(n, &m); err != nil {
		return Sample{}, err
	}
	per := float64(n)
	return Sample{
		CPU:    time.Duration(float64(m.cpu) / per),
		Wall:   time.Duration(float64(m.wall) / per),
		Allocs: float64(m.allocs) / per,
		Bytes:  float64(m.bytes) / per,
	}, nil
}

// calibrate returns how often the work is done in about so long. It warms up what is to be warm.
func calibrate(c Case, each time.Duration) (int, error) {
	n := 8
	for {
		var m Meter
		if err := c.Run(n, &m); err != nil {
			return 0, err
		}
		if m.cpu >= each/4 {
			return max(1, int(float64(n)*float64(each)/float64(m.cpu))), nil
		}
		n *= 4
	}
}

// Ratio returns the median of s over base, round by round: what slows a whole round down is in both.
func Ratio(s, base []Sample, of func(Sample) float64) float64 {
	rs := make([]float64, len(s))
	for i := range s {
		rs[i] = of(s[i]) / of(base[i])
	}
	return Median(rs)
}

// Each returns one number of every sample.
func Each(s []Sample, of func(Sample) float64) []float64 {
	vs := make([]float64, len(s))
	for i := range s {
		vs[i] = of(s[i])
	}
	return vs
}

// Median returns the middle one of vs, or the mean of the two in the middle. There is at least one.
func Median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2
}

// Nanos returns the processor time of s.
func Nanos(s Sample) float64 { return float64(s.CPU) }

// WallNanos returns the time of s by the clock on the wall.
func WallNanos(s Sample) float64 { return float64(s.Wall) }

// Allocs returns the allocations of s.
func Allocs(s Sample) float64 { return s.Allocs }

// Bytes returns the allocated bytes of s.
func Bytes(s Sample) float64 { return s.Bytes }
