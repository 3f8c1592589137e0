package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A Server says how a Redis server is reached. URL is required, unless Sentinels are given; the rest
// has defaults.
type Server struct {
	// URL is "redis://user:password@host:port/db", or "rediss://" for TLS. Port 6379, database
	// 0 and no password are the defaults.
	// https://www.iana.org/assignments/uri-schemes/prov/redis
	URL string

	// Sentinels, if any, say which server to dial; URL has all but its host and port: "redis://", the
	// default here, or "redis://user:password@/db". Each is a URL of its own, such as
	// "redis://:password@host:26379", or no more than "host:26379". A pool of [NewPool] asks all of
	// them twenty times a second while it is used. It lends no connection to a server that is the master
	// no more, and while a replica is being promoted it lends none at all: callers wait, as for a
	// dial. Nothing that is done after a failover that was asked for has begun is lost by it. A
	// server that died has taken along what no replica had: see [Store.Replicas]. If no Sentinel
	// answers, the master is where it was, and has to say of itself that it is one.
	Sentinels []string

	// MasterName is what the Sentinels call the master, as in "sentinel monitor NAME …". It is
	// required with Sentinels.
	MasterName string

	// Address, if not nil, returns "host:port" of the server to dial, instead of the URL's. It
	// is asked before each dial, and, while a pool of [NewPool] is used, once a second; the pool
	// lends no connection to another server than it has named last. Several goroutines may ask at
	// once. The server that is dialed must call itself a master. Its time is ctx's; a function that has
	// no use for a context needs timeouts of its own, shorter than Timeout in all. For Sentinels, use
	// Sentinels: a server that they have demoted takes itself for the master, and changes that
	// will be lost, for ten seconds more.
	Address func(ctx context.Context) (string, error)

	// TLS is used with rediss. Nil: the system's certificates. An empty ServerName is that of the
	// host which is dialed: the URL's, or what Address or a cluster calls it.
	TLS *tls.Config

	// Timeout bounds dialing with everything that belongs to it, and each write. It bounds
	// reads for which the caller sets no time; a [Store] always does. 0: 1 s.
	Timeout time.Duration

	// MaxActive is how many connections a pool has at most. Who needs one more waits for it.
	// 0: 64.
	MaxActive int

	// IdleTimeout is after which time a pool closes a connection that nobody used. It must be
	// less than the server's timeout setting, and that of any proxy between. 0: 4 minutes.
	IdleTimeout time.Duration

	// MaxReply is the size of the largest reply, in bytes, and so of the largest record that
	// can be loaded. See [Guard]. 0: 16 MiB.
	MaxReply int

	// Logger is told when another server is the master, and when nobody says who is: it is used
	// with Sentinels and Address only. Nil: slog.Default.
	Logger *slog.Logger

	port string // where the URL has none; "": Redis's
}

// NewPool returns a pool of connections to s. It dials nothing yet; see [Store.Ping]. All its
// connections are behind [Guard] and have timeouts. Its fields may be changed before the first
// use.
func NewPool(s Server) (*redis.Pool, error) {
	if _, err := s.target(); err != nil {
		return nil, err
	}
	w, err := newWatch(s)
	if err != nil {
		return nil, err
	}
	active, idle := s.MaxActive, s.IdleTimeout
	if active <= 0 {
		active = 64
	}
	if idle <= 0 {
		idle = 4 * time.Minute
	}
	pool := &redis.Pool{
		DialContext: func(ctx context.Context) (redis.Conn, error) { return s.dial(ctx, "", w) },
		MaxActive:   active,
		MaxIdle:     active, // a burst's connections go by age, not at once: a new one costs much more than a kept one
		IdleTimeout: idle,
		Wait:        true,
	}
	if w != nil {
		pool.TestOnBorrowContext = w.test
	}
	return pool, nil
}

// Dial returns a new connection to addr, "host:port", with all other settings of s. If addr is
// empty, the Sentinels, Address or the URL say where it leads. Errors do not show the URL, nor more
// than the first word of what the server answered, which may repeat the password.
func (s Server) Dial(ctx context.Context, addr string) (redis.Conn, error) {
	var w *watch
	if addr == "" {
		var err error
		if w, err = newWatch(s); err != nil {
			return nil, err
		}
		if w != nil {
			defer w.end()
		}
	}
	return s.dial(ctx, addr, w)
}

// dial is Dial, with the watch that knows the master.
func (s Server) dial(ctx context.Context, addr string, w *watch) (redis.Conn, error) {
	t, err := s.target()
	if err != nil {
		return nil, err
	}
	timeout := s.timeout()
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	// WithDeadline relies on a deadline that is there already, and ours may have no timer.
	ctx, cancel := context.WithDeadline(undated{ctx}, deadline)
	defer cancel()
	switch {
	case addr != "":
		t.addr = addr
	case w != nil:
		if t.addr, err = w.lead(ctx); err != nil {
			return nil, fmt.Errorf("redisstore: address of the master: %w", judged(err))
		}
	}
	var guard *guarded
	c, err := redis.DialContext(ctx, "tcp", t.addr,
		redis.DialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := s.connect(ctx, t.tls, network, addr)
			if err != nil {
				return nil, err
			}
			guard = newGuarded(c, s.MaxReply)
			return guard, nil
		}),
		redis.DialReadTimeout(timeout),
		redis.DialWriteTimeout(timeout),
		redis.DialUsername(t.user),
		redis.DialPassword(t.password),
		redis.DialDatabase(t.db),
	)
	if err != nil {
		return nil, fmt.Errorf("redisstore: dial: %w", judged(err))
	}
	c = reading(c, guard, t.addr)
	if addr != "" || w == nil {
		return c, nil
	}
	if err := checkMaster(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("redisstore: dial: %w", judged(err))
	}
	return c, nil
}

// errNotMaster is a server that has another role than it is said to have.
var errNotMaster = errors.New("server is not a master")

func checkMaster(c redis.Conn) error {
	reply, err := redis.Values(c.Do("ROLE"))
	if err != nil {
		return err
	}
	var role string
	if len(reply) > 0 {
		role, _ = redis.String(reply[0], nil)
	}
	if role != "master" {
		return errNotMaster
	}
	return nil
}

// connect returns a connection, secure or not.
func (s Server) connect(ctx context.Context, secure bool, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if !secure {
		return c, nil
	}
	config := s.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			c.Close()
			return nil, err
		}
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// A target is what a URL says.
type target struct {
	addr           string
	tls            bool
	user, password string
	db             int
}

// target reads the URL. Its errors do not show it: it holds a password.
func (s Server) target() (target, error) {
	if s.URL == "" && len(s.Sentinels) > 0 {
		s.URL = "redis://"
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return target{}, errors.New("redisstore: url: malformed")
	}
	var t target
	switch u.Scheme {
	case "redis":
	case "rediss":
		t.tls = true
	default:
		return target{}, errors.New("redisstore: url: scheme: want redis or rediss")
	}
	if u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" {
		return target{}, errors.New("redisstore: url: want redis://user:password@host:port/db and no more")
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = cmp.Or(s.port, "6379")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return target{}, errors.New("redisstore: url: port: want 1 to 65535")
	}
	if strings.Contains(host, ",") {
		return target{}, errors.New("redisstore: url: host: want one server")
	}
	t.addr = net.JoinHostPort(host, port)
	if u.User != nil {
		password, ok := u.User.Password()
		t.user, t.password = u.User.Username(), password
		if !ok { // redis-cli reads it as a password, too
			t.user, t.password = "", u.User.Username()
		}
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 {
			return target{}, errors.New("redisstore: url: database: want a number")
		}
	}
	return t, nil
}

func (s Server) timeout() time.Duration {
	if s.Timeout <= 0 {
		return time.Second
	}
	return s.Timeout
}
