package signedin_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/signedin"
)

func startRedis(tb testing.TB) *signedin.Redis {
	tb.Helper()
	x, err := signedin.StartRedis()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("RETURNLEG_REQUIRE") != "1" {
		fmt.Printf("%s skipped: %v\n", tb.Name(), err) // go test does not show why a benchmark skips
		tb.SkipNow()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(x.Close)
	return x
}

func deeds(tb testing.TB, x *signedin.Redis) []*signedin.Deed {
	tb.Helper()
	var all []*signedin.Deed
	for _, some := range []func() ([]*signedin.Deed, error){x.Reads, x.VisitorWrites, x.MemberWrites} {
		ds, err := some()
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, ds...)
	}
	return all
}

// BenchmarkRedis does each thing with a session in Redis once. The time on the wall holds the
// server's work as well.
func BenchmarkRedis(b *testing.B) {
	x := startRedis(b)
	all := deeds(b, x)
	for _, d := range all {
		b.Run(d.Name, func(b *testing.B) {
			b.ReportAllocs() // shows what is reported below in its place
			s, err := measure.Once(d.Case(), b.N)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(measure.WallNanos(s), "ns/op")
			b.ReportMetric(measure.Nanos(s), "cpu-ns/op")
			b.ReportMetric(measure.Allocs(s), "allocs/op")
			b.ReportMetric(measure.Bytes(s), "B/op")
		})
	}
}

// A request is one command, a write one more: the script, and what it does inside.
func TestRedisCommands(t *testing.T) {
	x := startRedis(t)
	all := deeds(t, x)
	one := map[string]float64{"HGETALL": 1}
	want := map[string]map[string]float64{
		"returnleg, session untouched":                        one,
		"returnleg, User read":                                one,
		"returnleg, one of ten scs keys read":                 one,
		"returnleg, idle timeout, one of ten scs keys read":   one,
		"returnleg, one of ten scs keys written":              {"HGETALL": 1, "EVALSHA": 1},
		"returnleg of a visitor, one of ten scs keys written": {"HGETALL": 1, "EVALSHA": 1},
	}
	tested := 0
	for _, d := range all {
		commands, ok := want[d.Name]
		if !ok {
			continue
		}
		tested++
		t.Run(d.Name, func(t *testing.T) {
			if err := d.Do(); err != nil { // the first one may touch the session
				t.Fatal(err)
			}
			got, err := x.Calls(d, 20)
			if err != nil {
				t.Fatal(err)
			}
			for _, inside := range []string{"EXISTS", "HGET", "HSET", "HDEL", "PEXPIREAT"} {
				delete(got, inside)
			}
			if !maps.Equal(got, commands) {
				t.Errorf("got %v for each request, want %v", got, commands)
			}
		})
	}
	if tested != len(want) {
		t.Errorf("%d of %d were there", tested, len(want))
	}
}

// However many requests there are, an idle timeout takes at most ten touches, and at least one.
func TestTouches(t *testing.T) {
	requests, touches, err := startRedis(t).Touches(2 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if touches < 1 || touches > 10 || requests < 20 {
		t.Errorf("%d touches in %d requests, want 1 to 10 in 20 and more", touches, requests)
	}
}
