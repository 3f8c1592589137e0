package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/refresh"
)

// refreshRounds is how often each storm is measured at most: a round of all takes half a minute.
const refreshRounds = 5

func (r *run) refreshes() error {
	rig, err := refresh.Start()
	if err != nil {
		return err
	}
	defer rig.Close()
	storms := refresh.All()
	results := make([][]refresh.Result, len(storms))
	for range min(r.rounds, refreshRounds) {
		for i, s := range storms {
			result, err := rig.Run(s)
			if err != nil {
				return err
			}
			results[i] = append(results[i], result)
		}
	}
	t := measure.NewTable("two processes, an expired token", "sessions", "requests", "provider takes", "refresh calls", "refused",
		"requests answered", "p99 beyond the provider", "p99 with good tokens", "Redis commands per request", "with those in scripts")
	for i, s := range storms {
		of := results[i]
		t.Row(s.Contender, fmt.Sprint(s.Sessions), fmt.Sprint(s.All()), s.Slow.String(),
			span(of, func(r refresh.Result) int { return r.Calls }),
			span(of, func(r refresh.Result) int { return r.Refused }),
			span(of, func(r refresh.Result) int { return r.Answered }),
			least(of, func(r refresh.Result) time.Duration { return r.P99 }),
			least(of, func(r refresh.Result) time.Duration { return r.Control }),
			most(of, func(r refresh.Result) float64 { return r.Sent }),
			most(of, func(r refresh.Result) float64 { return r.Executed }))
	}
	return r.print(fmt.Sprintf("Refresh (times: best of %d rounds)", len(results[0])), t)
}

// span writes the least and the greatest of several rounds, or the one figure of all.
func span(of []refresh.Result, figure func(refresh.Result) int) string {
	var all []int
	for _, r := range of {
		all = append(all, figure(r))
	}
	from, to := slices.Min(all), slices.Max(all)
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d–%d", from, to)
}

// least writes the shortest of the rounds: what other programs of the machine add is not in it.
func least(of []refresh.Result, figure func(refresh.Result) time.Duration) string {
	shortest := figure(of[0])
	for _, r := range of {
		shortest = min(shortest, figure(r))
	}
	return fmt.Sprintf("%.0f ms", shortest.Seconds()*1000)
}

// most writes the greatest of the rounds.
func most(of []refresh.Result, figure func(refresh.Result) float64) string {
	greatest := 0.0
	for _, r := range of {
		greatest = max(greatest, figure(r))
	}
	return measure.Number(greatest)
}
