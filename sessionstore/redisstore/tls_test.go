//go:build unix

package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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
