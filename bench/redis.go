package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/bench/internal/login"
	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/signedin"
)

const (
	counted       = 1000 // requests over which commands are counted
	loginsCounted = 100
	shortIdle     = 5 * time.Second // the idle timeout in which touches are counted

	// For a while a processor sleeps between a command and its answer, and for a while it does not,
	// which is most of what a command takes. Rounds are shorter than that, and there are more of them.
	shorter = 32
)

// redis measures sessions in a Redis that it starts. A request waits there for another process, and
// so time is what the clock on the wall says; the processor time of this process stands beside it.
func (r *run) redis() error {
	x, err := signedin.StartRedis()
	if err != nil {
		return err
	}
	defer x.Close()
	reads, err := x.Reads()
	if err != nil {
		return err
	}
	if err := r.deeds(x, "A signed-in request on Redis", "× GET", reads, map[string]string{
		"Load, plain":                                       "≤ 1.5 ×",
		"Load, sealed, one value opened":                    "≤ 1.5 ×",
		"returnleg, session untouched":                      "≤ 1.5 × and 1 command",
		"returnleg, User read":                              "≤ 1.5 × and 1 command",
		"returnleg, one of ten scs keys read":               "≤ 1.5 × and 1 command",
		"returnleg, idle timeout, one of ten scs keys read": "≤ 1.5 × and 1 command",
	}); err != nil {
		return err
	}
	visitors, err := x.VisitorWrites()
	if err != nil {
		return err
	}
	members, err := x.MemberWrites()
	if err != nil {
		return err
	}
	targets := map[string]string{
		"returnleg of a visitor, one of ten scs keys written": "≤ 1.3 ×, two round trips",
		"returnleg, one of ten scs keys written":              "≤ 1.3 ×, two round trips",
	}
	if err := r.deeds(x, "A write on Redis, nobody signed in", "× scs", visitors, targets); err != nil {
		return err
	}
	if err := r.deeds(x, "A write on Redis, signed in", "× scs", members, targets); err != nil {
		return err
	}
	requests, touches, err := x.Touches(shortIdle)
	if err != nil {
		return err
	}
	t := measure.NewTable(fmt.Sprintf("requests during one idle timeout of %v", shortIdle), "touches", "target")
	t.Row(fmt.Sprintf("returnleg, %d", requests), fmt.Sprint(touches), "≤ 10")
	if err := r.print("Touches", t); err != nil {
		return err
	}
	return r.redisLogins(x)
}

// redisLogins measures sign-ins whose sessions are in x. What counts is the processor time of this
// process: the provider and Redis are others.
func (r *run) redisLogins(x *signedin.Redis) error {
	p, err := login.StartProvider()
	if err != nil {
		return err
	}
	defer p.Close()
	all, err := login.OnRedis(p, x.Pool())
	if err != nil {
		return err
	}
	cases, samples, err := takeTurns(all, r.rounds, r.each)
	if err != nil {
		return err
	}
	t := measure.NewTable("login, start to landing", "× processor time", "µs", "× allocations", "allocations", "commands of each", "target")
	for i, s := range samples {
		one := &signedin.Deed{Name: cases[i].Name, Do: func() error { return cases[i].Run(1, new(measure.Meter)) }}
		calls, err := x.Calls(one, loginsCounted)
		if err != nil {
			return err
		}
		target := ""
		if i == 1 {
			target = "≤ 1.4 ×, ≤ 1.4 × allocations"
		}
		t.Row(cases[i].Name,
			measure.Number(measure.Ratio(s, samples[0], measure.Nanos)),
			measure.Number(measure.Median(measure.Each(s, measure.Nanos))/1000),
			measure.Number(measure.Ratio(s, samples[0], measure.Allocs)),
			fmt.Sprintf("%.0f", measure.Median(measure.Each(s, measure.Allocs))),
			commands(calls), target)
	}
	return r.print("A login on Redis", t)
}

// deeds prints what each of ds takes, beside the first.
func (r *run) deeds(x *signedin.Redis, heading, ratio string, ds []*signedin.Deed, targets map[string]string) error {
	cases, samples, err := takeTurns(ds, r.rounds*shorter, r.each/shorter)
	if err != nil {
		return err
	}
	t := measure.NewTable("time on the wall", ratio, "µs", ratio+", processor", "allocations", "commands of each", "target")
	for i, s := range samples {
		calls, err := x.Calls(ds[i], counted)
		if err != nil {
			return err
		}
		t.Row(cases[i].Name,
			measure.Number(measure.Ratio(s, samples[0], measure.WallNanos)),
			measure.Number(measure.Median(measure.Each(s, measure.WallNanos))/1000),
			measure.Number(measure.Ratio(s, samples[0], measure.Nanos)),
			fmt.Sprintf("%.0f", measure.Median(measure.Each(s, measure.Allocs))),
			commands(calls), targets[cases[i].Name])
	}
	return r.print(heading, t)
}

// commands lists them by name, such as "EVALSHA 1, HGETALL 1".
func commands(calls map[string]float64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		list = append(list, fmt.Sprintf("%s %.4g", name, calls[name]))
	}
	return strings.Join(list, ", ")
}
