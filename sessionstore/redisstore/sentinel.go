package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// errNoMaster is a Sentinel that answers, and does not know the name.
var errNoMaster = errors.New("the sentinel knows no master of that name")

// A view is what somebody says about the master.
type view struct {
	addr string

	// epoch is that of the configuration: of two that differ, the higher one is the later.
	epoch uint64

	// moving is a failover that has begun, before the replica that it is to is a master.
	moving bool
}

// A sentinel asks one Sentinel for the master. It keeps its connection.
type sentinel struct {
	server Server // the Sentinel
	nodes  Server // what it watches over
	name   string // of the master

	c        redis.Conn
	promoted string // the replica of the failover under way that has said that it is a master now
}

// ask returns the Sentinel's view. One that leads a failover says so from the moment that it is
// elected, which is a tenth of a second or more before it promotes a replica; but it learns only by its
// next INFO, up to a second later, that this has happened. So the replica is asked here.
func (n *sentinel) ask(ctx context.Context) (view, error) {
	if n.c == nil {
		c, err := n.server.Dial(ctx, "")
		if err != nil {
			return view{}, err
		}
		n.c = c
	}
	v, err := n.look(ctx)
	if err != nil && !errors.Is(err, errNoMaster) {
		n.close()
		return view{}, judged(err)
	}
	return v, err
}

func (n *sentinel) look(ctx context.Context) (view, error) {
	reply, err := n.c.Do("SENTINEL", "MASTER", n.name)
	if err != nil {
		return view{}, unknownName(err)
	}
	master, err := redis.StringMap(reply, nil)
	switch {
	case reply == nil:
		return view{}, errNoMaster
	case err != nil:
		return view{}, errReply
	}
	v := view{addr: net.JoinHostPort(master["ip"], master["port"])}
	if v.epoch, err = strconv.ParseUint(master["config-epoch"], 10, 64); err != nil || master["port"] == "" {
		return view{}, errReply
	}
	if strings.Contains(master["flags"], "failover_in_progress") {
		// Until it is over, what is above is the former master; this is the new one as soon as it is promoted. An
		// address that is older than its epoch would be believed before all others, so it is asked for second.
		addr, err := redis.Strings(n.c.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", n.name))
		if err != nil {
			return view{}, unknownName(err)
		}
		if len(addr) != 2 {
			return view{}, errReply
		}
		v.addr = net.JoinHostPort(addr[0], addr[1])
	}
	switch master["failover-state"] {
	case "select_slave", "send_slaveof_noone", "wait_promotion":
		return n.follow(ctx, v), nil
	}
	n.promoted = ""
	return v, nil
}

// unknownName returns err, or errNoMaster where it says that.
func unknownName(err error) error {
	var said redis.Error
	if errors.Is(err, redis.ErrNil) || errors.As(err, &said) && strings.HasPrefix(string(said), "ERR No such master") {
		return errNoMaster
	}
	return err
}

// follow returns v as it is while a replica is being promoted: the replica is the master as soon as it
// says so.
func (n *sentinel) follow(ctx context.Context, v view) view {
	candidate := n.candidate()
	if candidate == "" || candidate != n.promoted && !n.isMaster(ctx, candidate) {
		v.moving = true
		return v
	}
	n.promoted = candidate
	return view{addr: candidate, epoch: v.epoch + 1} // at least: the Sentinels count up for each failover
}

// candidate returns the replica that has been chosen, or "".
func (n *sentinel) candidate() string {
	replicas, err := redis.Values(n.c.Do("SENTINEL", "SLAVES", n.name)) // Redis 4 has no other word
	if err != nil {
		return ""
	}
	for _, r := range replicas {
		of, err := redis.StringMap(r, nil)
		if err == nil && strings.Contains(of["flags"], "promoted") {
			return net.JoinHostPort(of["ip"], of["port"])
		}
	}
	return ""
}

func (n *sentinel) isMaster(ctx context.Context, addr string) bool {
	c, err := n.nodes.Dial(ctx, addr)
	if err != nil {
		return false
	}
	defer c.Close()
	return checkMaster(c) == nil
}

func (n *sentinel) close() {
	if n.c != nil {
		n.c.Close()
		n.c = nil
	}
}

// sentinels returns s's Sentinels, or what is wrong with what it says of them.
func (s Server) sentinels() ([]source, error) {
	if s.Address != nil {
		return nil, errors.New("redisstore: sentinels: want no Address beside them")
	}
	if s.MasterName == "" {
		return nil, errors.New("redisstore: sentinels: want a MasterName")
	}
	var all []source
	for i, addr := range s.Sentinels {
		if !strings.Contains(addr, "://") {
			addr = "redis://" + addr
		}
		one := Server{URL: addr, TLS: s.TLS, Timeout: s.Timeout, port: "26379"}
		if t, err := one.target(); err != nil {
			return nil, fmt.Errorf("redisstore: sentinel %d: %w", i+1, err)
		} else if t.db != 0 {
			return nil, fmt.Errorf("redisstore: sentinel %d: url: database: want none", i+1)
		}
		all = append(all, &sentinel{server: one, nodes: s, name: s.MasterName})
	}
	return all, nil
}
