package main

import (
	"fmt"
	"time"

	"github.com/returnleg/returnleg/bench/internal/capacity"
	"github.com/returnleg/returnleg/bench/internal/login"
	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/signedin"
)

// print writes a heading and a table.
func (r *run) print(heading string, t *measure.Table) error {
	fmt.Fprintf(r.out, "### %s\n\n", heading)
	_, err := t.WriteTo(r.out)
	return err
}

// A contender is what is measured beside others.
type contender interface{ Case() measure.Case }

// takeTurns measures all, so many rounds of them.
func takeTurns[C contender](all []C, rounds int, each time.Duration) ([]measure.Case, [][]measure.Sample, error) {
	cases := make([]measure.Case, len(all))
	for i, c := range all {
		cases[i] = c.Case()
	}
	samples, err := measure.Rounds(cases, rounds, each)
	return cases, samples, err
}

func (r *run) requests() error {
	all, err := signedin.All()
	if err != nil {
		return err
	}
	cases, samples, err := takeTurns(all, r.rounds, r.each)
	if err != nil {
		return err
	}
	targets := map[string]string{
		"returnleg, session untouched":        "≤ 5 × and ≤ 15",
		"returnleg, User read":                "≤ 5 × and ≤ 15",
		"returnleg, Token read":               "≤ 5 × and ≤ 15",
		"returnleg, one of ten scs keys read": "≤ 8 × and ≤ 34",
	}
	t := measure.NewTable("signed-in request, in process", "× bare", "µs", "allocations", "target")
	for i, s := range samples {
		t.Row(cases[i].Name,
			measure.Number(measure.Ratio(s, samples[0], measure.Nanos)),
			measure.Number(measure.Median(measure.Each(s, measure.Nanos))/1000),
			fmt.Sprintf("%.0f", measure.Median(measure.Each(s, measure.Allocs))),
			targets[cases[i].Name])
	}
	return r.print("A signed-in request", t)
}

// So many people come back at once, so many times, where connections are counted.
const crowd, crowds = 64, 32

func (r *run) logins() error {
	p, err := login.StartProvider()
	if err != nil {
		return err
	}
	defer p.Close()
	all, err := login.All(p)
	if err != nil {
		return err
	}
	calls := make([]float64, len(all))
	for i, c := range all {
		if calls[i], err = c.Calls(); err != nil {
			return err
		}
	}
	cases, samples, err := takeTurns(all, r.rounds, r.each)
	if err != nil {
		return err
	}
	t := measure.NewTable("login, start to landing", "× processor time", "µs", "× allocations", "allocations", "requests to the provider",
		fmt.Sprintf("connections, %d at once", crowd), "target")
	for i, s := range samples {
		target := ""
		if cases[i].Name == "returnleg" {
			target = "≤ 1.15 ×, ≤ 1.4 × allocations, 1 request, ≤ 0.05 connections"
		}
		connections, err := all[i].Connections(crowd, crowds)
		if err != nil {
			return err
		}
		t.Row(cases[i].Name,
			measure.Number(measure.Ratio(s, samples[0], measure.Nanos)),
			measure.Number(measure.Median(measure.Each(s, measure.Nanos))/1000),
			measure.Number(measure.Ratio(s, samples[0], measure.Allocs)),
			fmt.Sprintf("%.0f", measure.Median(measure.Each(s, measure.Allocs))),
			fmt.Sprintf("%.0f", calls[i]), fmt.Sprintf("%.3f", connections), target)
	}
	return r.print("A login", t)
}

func (r *run) bytes() error {
	ours, scs, err := capacity.Bytes(r.sessions)
	if err != nil {
		return err
	}
	t := measure.NewTable("live sessions of ten values, in memory", "bytes each", "× memstore", "target")
	t.Row("returnleg", fmt.Sprintf("%.0f", ours), measure.Number(ours/scs), "≤ 1.1 ×")
	t.Row("scs + memstore", fmt.Sprintf("%.0f", scs), "1.00", "")
	return r.print(fmt.Sprintf("%d sessions", r.sessions), t)
}

// stopRounds is how often the stop is measured. What a store does to its users it does each time;
// what the machine does is not in the best of several.
const stopRounds = 3

func (r *run) stops() error {
	stops := map[string]func(int) (capacity.Stop, error){"returnleg": capacity.OurStop, "scs + memstore": capacity.SCSStop}
	t := measure.NewTable("longest change while all sessions expire", "on the clock", "the same with nothing to sweep", "of the processor", "target")
	for _, name := range []string{"returnleg", "scs + memstore"} {
		least := capacity.Stop{Wall: time.Hour, CPU: time.Hour, Idle: time.Hour}
		for range stopRounds {
			s, err := stops[name](r.sessions)
			if err != nil {
				return err
			}
			least.Wall, least.CPU, least.Idle = min(least.Wall, s.Wall), min(least.CPU, s.CPU), min(least.Idle, s.Idle)
		}
		if name != "returnleg" { // whoever waits for a lock uses no processor
			t.Row(name, milliseconds(least.Wall), "", "", "")
			continue
		}
		t.Row(name, milliseconds(least.Wall), milliseconds(least.Idle), milliseconds(least.CPU), "≤ 1 ms")
	}
	return r.print(fmt.Sprintf("%d sessions expire at once (best of %d)", r.sessions, stopRounds), t)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func (r *run) starts() error {
	stored, err := capacity.Starts(r.sessions)
	if err != nil {
		return err
	}
	t := measure.NewTable("sign-ins that are started and given up", "bytes stored", "target")
	t.Row(fmt.Sprintf("returnleg, %d", r.sessions), fmt.Sprint(stored), "0")
	return r.print("Starts; a person who signs in meanwhile succeeds", t)
}
