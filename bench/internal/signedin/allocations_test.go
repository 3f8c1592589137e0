//go:build !race

// The race detector makes a sync.Pool forget at random, so nothing can be counted under it: test.sh
// runs these tests once more without it.

package signedin_test

import (
	"errors"
	"testing"

	"github.com/returnleg/returnleg/bench/internal/signedin"
)

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

// What a request on Redis allocates, on any machine. A few more than what was counted are for pools
// that the garbage collector has emptied.
func TestRedisAllocations(t *testing.T) {
	x := startRedis(t)
	most := map[string]float64{
		"Load, plain":                                         10, // 74 by redigo's reader
		"Load, sealed, one value opened":                      15,
		"Load, sealed, eleven values opened":                  26,
		"returnleg, session untouched":                        25,
		"returnleg, User read":                                29,
		"returnleg, one of ten scs keys read":                 51,
		"returnleg, idle timeout, one of ten scs keys read":   51,
		"returnleg, one of ten scs keys written":              135,
		"returnleg of a visitor, one of ten scs keys written": 135,
	}
	tested := 0
	for _, d := range deeds(t, x) {
		want, ok := most[d.Name]
		if !ok {
			continue
		}
		tested++
		t.Run(d.Name, func(t *testing.T) {
			var err error
			got := testing.AllocsPerRun(200, func() { err = errors.Join(err, d.Do()) })
			if got > want || err != nil {
				t.Errorf("%v allocations, %v, want at most %v", got, err, want)
			}
		})
	}
	if tested != len(most) {
		t.Errorf("%d of %d were there", tested, len(most))
	}
}
