// Package faultproxy forwards TCP connections and breaks them on command, for tests. It listens on
// loopback.
package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Fault says what is wrong with the network. The zero Fault is nothing. It applies to every
// connection, those that are open included.
type Fault struct {
	Refuse    bool          // new connections are reset at once
	Blackhole bool          // nothing gets through, either way, until the fault ends; then all of it does
	Delay     time.Duration // before each chunk of an answer
	Drip      time.Duration // before each byte of an answer
	Cut       bool          // a connection is reset after CutAfter bytes of answers, counted since Set
	CutAfter  int64

	// Rewrite, if not nil, replaces each chunk of an answer. Several connections may call it at
	// once.
	Rewrite func(chunk []byte) []byte
}

// A Proxy forwards connections to a backend. See [Listen].
type Proxy struct {
	Addr string // host:port to connect to

	listener net.Listener
	accepted atomic.Int64
	pumps    sync.WaitGroup

	mu      sync.Mutex
	backend string
	fault   Fault
	changed chan struct{} // closed by the next Set
	links   map[*link]struct{}
	closed  bool
}

// A link is a connection and its continuation.
type link struct {
	client, server net.Conn
	gone           chan struct{} // closed when the link ends
	once           sync.Once
	answered       int64 // bytes, since the present fault was set; of the pump of answers
}

// Listen returns a proxy on a free port of loopback that forwards to backend, "host:port".
func Listen(backend string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		Addr:     l.Addr().String(),
		listener: l,
		backend:  backend,
		changed:  make(chan struct{}),
		links:    map[*link]struct{}{},
	}
	p.pumps.Go(p.accept)
	return p, nil
}

// Set makes f the fault from now on.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// SetBackend makes new connections lead to another backend. Those that are open stay as they are.
func (p *Proxy) SetBackend(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend = addr
}

// Reset resets all connections that are open, as a host does that was restarted.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Accepted returns how many connections were made to the proxy, refused ones included.
func (p *Proxy) Accepted() int64 { return p.accepted.Load() }

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close resets all connections, and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Reset()
	p.pumps.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		p.pumps.Go(func() { p.connect(c) })
	}
}

// connect continues a connection to the backend.
func (p *Proxy) connect(c net.Conn) {
	p.mu.Lock()
	backend, refuse := p.backend, p.fault.Refuse
	p.mu.Unlock()
	l := &link{client: c, gone: make(chan struct{})}
	if refuse {
		l.reset()
		return
	}
	s, err := net.DialTimeout("tcp", backend, 5*time.Second)
	if err != nil {
		l.reset()
		return
	}
	l.server = s
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	p.pumps.Go(func() { p.pump(l, c, s, false) })
	p.pump(l, s, c, true)
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pump forwards one direction of a link until it ends.
func (p *Proxy) pump(l *link, from, to net.Conn, answers bool) {
	chunk := make([]byte, 32<<10)
	var epoch chan struct{}
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			f, now, ok := p.pass(l)
			if !ok {
				return
			}
			if answers && now != epoch {
				epoch, l.answered = now, 0
			}
			if !l.forward(f, to, chunk[:n], answers) {
				return
			}
		}
		if err != nil {
			l.end()
			return
		}
	}
}

// pass returns the present fault, and what closes when it ends, as soon as anything gets through.
func (p *Proxy) pass(l *link) (Fault, chan struct{}, bool) {
	for {
		p.mu.Lock()
		f, changed := p.fault, p.changed
		p.mu.Unlock()
		if !f.Blackhole {
			return f, changed, true
		}
		select {
		case <-changed:
		case <-l.gone:
			return Fault{}, nil, false
		}
	}
}

// forward writes a chunk as the fault lets it, and reports whether the link goes on.
func (l *link) forward(f Fault, to net.Conn, chunk []byte, answer bool) bool {
	if !answer {
		_, err := to.Write(chunk)
		return err == nil || l.end()
	}
	if f.Rewrite != nil {
		chunk = f.Rewrite(chunk)
	}
	if !l.wait(f.Delay) {
		return false
	}
	cut := f.Cut && l.answered+int64(len(chunk)) >= f.CutAfter
	if cut {
		chunk = chunk[:max(0, f.CutAfter-l.answered)]
	}
	l.answered += int64(len(chunk))
	step := len(chunk)
	if f.Drip > 0 {
		step = 1
	}
	for len(chunk) > 0 {
		if f.Drip > 0 && !l.wait(f.Drip) {
			return false
		}
		if _, err := to.Write(chunk[:step]); err != nil {
			return l.end()
		}
		chunk = chunk[step:]
	}
	if cut {
		return l.reset()
	}
	return true
}

// wait waits, unless the link ends.
func (l *link) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.gone:
		return false
	}
}

// end closes both connections. It returns false, as that is what follows.
func (l *link) end() bool {
	l.once.Do(func() {
		close(l.gone)
		l.client.Close()
		if l.server != nil {
			l.server.Close()
		}
	})
	return false
}

// reset ends the link with a reset instead of an orderly close.
func (l *link) reset() bool {
	for _, c := range []net.Conn{l.client, l.server} {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
	}
	return l.end()
}
