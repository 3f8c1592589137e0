package login

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// A Provider is an identity provider in a process of its own, so that its work is not in the
// processor time of ours. It plays the person and their browser at the provider, too.
type Provider struct {
	Issuer string // wants PKCE
	Lax    string // the issuer for contenders that know no PKCE

	control string
	process *exec.Cmd
	stdin   io.Closer
}

const (
	childEnv   = "RETURNLEG_BENCH_PROVIDER"
	childLimit = 10 * time.Second
)

// addresses is what the child says when it is ready.
type addresses struct{ Issuer, Lax, Control string }

// Counts is what the provider saw so far.
type Counts struct {
	Calls       int // requests that apps sent, from discovery to userinfo
	Connections int // that they came through
}

// ServeIfChild is what a program that calls [StartProvider] calls first: in the process that is
// started, it serves until the other one ends, and does not return.
func ServeIfChild() {
	if os.Getenv(childEnv) == "" {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// StartProvider starts this program again, as the provider. The caller closes it.
func StartProvider() (*Provider, error) {
	p := &Provider{process: exec.Command(os.Args[0])}
	p.process.Env = append(os.Environ(), childEnv+"=1")
	p.process.Stderr = os.Stderr
	stdin, err := p.process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("login: provider: %w", err)
	}
	p.stdin = stdin
	stdout, err := p.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("login: provider: %w", err)
	}
	if err := p.process.Start(); err != nil {
		return nil, fmt.Errorf("login: provider: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var at addresses
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("login: provider: %w", err)
	}
	p.Issuer, p.Lax, p.control = at.Issuer, at.Lax, at.Control
	return p, nil
}

// Close ends the process.
func (p *Provider) Close() {
	_ = p.stdin.Close()
	_ = p.process.Wait() // it ends with its input; how is of no interest
}

// Approve opens each URL in a browser of its own and says yes, and returns the callback URLs.
func (p *Provider) Approve(authURLs []string) (callbacks []string, err error) {
	err = p.ask("/approve", authURLs, &callbacks)
	return callbacks, err
}

// Counts returns what the provider saw so far.
func (p *Provider) Counts() (c Counts, err error) {
	err = p.ask("/counts", nil, &c)
	return c, err
}

func (p *Provider) ask(path string, question, answer any) error {
	b, err := json.Marshal(question)
	if err != nil {
		return err
	}
	resp, err := http.Post(p.control+path, "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("login: provider: %s: %s", path, text)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// child is the provider's side.
type child struct {
	strict, lax *providertest.Server
	connections atomic.Int64
	visits      atomic.Int64
}

func serve() error {
	c := &child{}
	var at addresses
	var err error
	if at.Issuer, err = c.listen(&c.strict, providertest.Config{Behavior: providertest.Behavior{Claims: c.another}}); err != nil {
		return err
	}
	if at.Lax, err = c.listen(&c.lax, providertest.Config{Behavior: providertest.Behavior{IgnorePKCE: true}}); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/approve", c.approve)
	mux.HandleFunc("/counts", c.counts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at.Control = "http://" + l.Addr().String()
	go func() { _ = (&http.Server{Handler: mux, ReadHeaderTimeout: childLimit}).Serve(l) }()
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return err
}

func (c *child) listen(s **providertest.Server, cfg providertest.Config) (issuer string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	cfg.Issuer = "http://" + l.Addr().String()
	cfg.CodeTTL = time.Hour // a busy machine is not what is measured
	*s = providertest.New(cfg)
	server := &http.Server{Handler: *s, ReadHeaderTimeout: childLimit, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.connections.Add(1)
		}
	}}
	go func() { _ = server.Serve(l) }()
	return cfg.Issuer, nil
}

func (c *child) approve(w http.ResponseWriter, r *http.Request) {
	var authURLs []string
	if err := json.NewDecoder(r.Body).Decode(&authURLs); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	callbacks := make([]string, len(authURLs))
	for i, u := range authURLs {
		s := c.strict
		if strings.HasPrefix(u, c.lax.Issuer()+"/") {
			s = c.lax
		}
		var err error
		if callbacks[i], err = s.Approve(context.Background(), s.Client(), u, "ada"); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	_ = json.NewEncoder(w).Encode(callbacks)
}

// people is how many take turns to sign in: enough that none of them has many sessions.
const people = 1024

// another makes each ID token another person's.
func (c *child) another(_ *providertest.Draft, claims map[string]any) {
	claims["sub"] = "person-" + strconv.FormatInt(c.visits.Add(1)%people, 10)
}

func (c *child) counts(w http.ResponseWriter, _ *http.Request) {
	n := Counts{Connections: int(c.connections.Load())}
	for _, s := range []*providertest.Server{c.strict, c.lax} {
		ledger := s.Ledger()
		for _, endpoint := range []string{"discovery", "jwks", "token", "userinfo", "revoke", "introspect", "api", "other"} {
			n.Calls += ledger.Count(endpoint)
		}
	}
	_ = json.NewEncoder(w).Encode(n)
}
