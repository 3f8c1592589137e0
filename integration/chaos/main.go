// Command chaos runs an app of the kit in two processes on a store, lets people use it, breaks the store
// in every way that it knows, and checks what was promised:
//
//	go run ./integration/chaos -store sentinel -for 4m
//
// It starts all servers itself, on loopback, and ends them: redis-server, with its Sentinel and Cluster,
// and PostgreSQL have to be installed. It prints what was done, and what must not have happened, and exits
// with 1 if something of that did. With the seed that it prints, the same people do the same things again;
// the machine does not.
//
// The two processes are two handlers in this one, each with a store, connections and an HTTP client of its
// own. To end one is to cut all of these off and to give it no answer any more.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the flags say.
type options struct {
	store    string
	length   time.Duration
	replicas int
	seed     uint64
	failover string
	people   int
	pace     time.Duration
	log      string
}

// silence is after which time a master that does not answer is taken for dead. Where none is to die, a
// machine that is busy must not make it look so.
func (o options) silence() time.Duration {
	if o.failover == "planned" {
		return 30 * time.Second
	}
	return 1500 * time.Millisecond
}

func main() {
	o := options{}
	flag.StringVar(&o.store, "store", "redis", "memory, redis, sentinel, cluster or postgres")
	flag.DurationVar(&o.length, "for", time.Minute, "how long people are at it")
	flag.IntVar(&o.replicas, "replicas", 0, "redisstore.Store.Replicas; all are 2 with sentinel, and with cluster as many as this, or 1")
	flag.Uint64Var(&o.seed, "seed", 0, "of what people do and what breaks; 0: another one each time")
	flag.StringVar(&o.failover, "failover", "both", "planned, kill or both")
	flag.IntVar(&o.people, "people", 24, "how many there are")
	flag.DurationVar(&o.pace, "pace", 40*time.Millisecond, "how long each of them rests between two requests, on average")
	flag.StringVar(&o.log, "log", "", "a file for the log of the apps")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "chaos: arguments: want none besides flags")
		os.Exit(2)
	}
	os.Exit(start(o))
}

// start runs it, and ends what it has started even if it is interrupted.
func start(o options) (code int) {
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	p := new(program)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		p.clean()
		os.Exit(130)
	}()
	defer p.clean()
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			fmt.Fprint(os.Stderr, "chaos: ", e, "\n")
			code = 2
		default:
			p.clean()
			panic(e)
		}
	}()
	var log io.Writer = io.Discard
	if o.log != "" {
		f, err := os.Create(o.log)
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			return 2
		}
		defer f.Close()
		log = f
	}
	r, err := run(p, o, log)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	}
	r.print(os.Stdout)
	if r.bad() > 0 {
		return 1
	}
	return 0
}
