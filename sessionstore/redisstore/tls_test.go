//go:build unix

package redisstore_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// certificate returns one for "localhost", and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}, pool
}

// A terminator is TLS in front of a server.
type terminator struct {
	addr string

	mu       sync.Mutex
	accepted int
	open     map[net.Conn]net.Conn
}

func terminate(t *testing.T, backend string, config *tls.Config) *terminator {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	x := &terminator{addr: "localhost:" + port, open: map[net.Conn]net.Conn{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", backend)
			if err != nil {
				c.Close()
				continue
			}
			x.mu.Lock()
			x.accepted++
			x.open[c] = s
			x.mu.Unlock()
			go func() { io.Copy(s, c); s.Close() }()
			go func() { io.Copy(c, s); c.Close() }()
		}
	}()
	return x
}

// closeAll ends all connections in good order, as TLS wants it: with an alert, and a FIN behind it.
func (x *terminator) closeAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c, s := range x.open {
		c.Close()
		s.Close()
		delete(x.open, c)
	}
}

func (x *terminator) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.accepted
}

func TestTLS(t *testing.T) {
	server := redistest.Start(t)
	cert, trusted := certificate(t)
	for _, row := range []struct {
		name    string
		version uint16
	}{
		{"TLS 1.2", tls.VersionTLS12},
		{"TLS 1.3", tls.VersionTLS13}, // sends session tickets, which are no replies
	} {
		t.Run(row.name, func(t *testing.T) {
			front := terminate(t, server.Addr, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: row.version, MaxVersion: row.version})
			s, pool := open(t, redisstore.Server{URL: "rediss://" + front.addr, TLS: &tls.Config{RootCAs: trusted}})
			k := sessionstore.Key{Kind: "tls", ID: strings.ReplaceAll(row.name[4:], ".", "")}
			if err := s.Update(t.Context(), k, create()); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				if err := s.Update(t.Context(), k, change()); err != nil {
					t.Fatalf("update %d: %v", i, err)
				}
			}
			if n := front.count(); n != 1 || pool.ActiveCount() != 1 {
				t.Errorf("got %d connections for one caller, want 1", n)
			}
			front.closeAll()
			// A moment passes before this end knows. An update that was not made is reported, and
			// made the next time.
			await(t, "an update", func() bool { return s.Update(t.Context(), k, change()) == nil })
			if n := front.count(); n != 2 {
				t.Errorf("got %d connections, want a second", n)
			}
		})
	}
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		front := terminate(t, server.Addr, &tls.Config{Certificates: []tls.Certificate{cert}})
		s, _ := open(t, redisstore.Server{URL: "rediss://" + front.addr, Timeout: time.Minute})
		s.Timeout = time.Minute // the system's certificates are read first
		wantClass(t, "ping", s.Ping(t.Context()), sessionstore.ErrMisconfigured)
	})
	t.Run("a certificate of another name", func(t *testing.T) {
		front := terminate(t, server.Addr, &tls.Config{Certificates: []tls.Certificate{cert}})
		s, _ := open(t, redisstore.Server{
			URL: "rediss://" + strings.Replace(front.addr, "localhost", "127.0.0.1", 1),
			TLS: &tls.Config{RootCAs: trusted},
		})
		wantClass(t, "ping", s.Ping(t.Context()), sessionstore.ErrMisconfigured)
	})
	t.Run("TLS to a server without", func(t *testing.T) {
		s, _ := open(t, redisstore.Server{URL: "rediss://" + server.Addr, Timeout: 500 * time.Millisecond})
		wantClass(t, "ping", s.Ping(t.Context()), sessionstore.ErrUnavailable)
	})
}

// A corked connection keeps what is written, and sends it at one stroke.
type corked struct {
	net.Conn
	kept *bytes.Buffer // nil: it keeps nothing
}

func (c *corked) Write(p []byte) (int, error) {
	if c.kept != nil {
		return c.kept.Write(p)
	}
	return c.Conn.Write(p)
}

// F17 over TLS: a reply that nobody asked for has left the socket with the one before it, and is noticed
// all the same.
func TestTLS_unaskedReply(t *testing.T) {
	cert, trusted := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			cork := &corked{Conn: raw}
			c := tls.Server(cork, &tls.Config{Certificates: []tls.Certificate{cert}})
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					if _, err := readCommand(r); err != nil {
						return
					}
					cork.kept = new(bytes.Buffer)
					io.WriteString(c, "*0\r\n")
					io.WriteString(c, "*2\r\n$0\r\n\r\n$9\r\n1 kind:id\r\n")
					raw.Write(cork.kept.Bytes())
					cork.kept = nil
				}
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s, _ := open(t, redisstore.Server{URL: "rediss://localhost:" + port, TLS: &tls.Config{RootCAs: trusted}})
	for range 10 {
		r, err := s.Load(context.Background(), sessionstore.Key{Kind: "kind", ID: "id"})
		if err == nil {
			t.Fatalf("got a record with end %v that nobody asked for", r.Expires)
		}
		if !errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatal(err)
		}
	}
}
