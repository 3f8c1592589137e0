// Package idp runs an identity provider that nobody here wrote: oidc-provider, on Node.
package idp

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/child"
	"github.com/returnleg/returnleg/internal/required"
)

// Settings is what an identity provider is started with.
type Settings struct {
	Redirects          []string `json:"redirects,omitempty"`          // of every client
	LogoutRedirects    []string `json:"logoutRedirects,omitempty"`    // of every client
	AccessTokenSeconds int      `json:"accessTokenSeconds,omitempty"` // of a sign-in; 0: an hour
}

// A Server is a running identity provider.
type Server struct {
	// Issuer is on localhost: for a browser that is another site than 127.0.0.1.
	Issuer  string   `json:"issuer"`
	Clients []Client `json:"clients"`
	Control string   `json:"control"` // where the ledger is
}

// A Client is how an app is registered. ID is also its way to authenticate: basic, post or public.
type Client struct{ ID, Secret string }

// An Entry is a request of an app or a browser, as the provider understood it. Secrets, codes and
// tokens are not in it: Parameters has names, Values only what may be seen.
type Entry struct {
	Route          string // such as authorization, token, userinfo
	Method         string
	Status         int
	Authentication string // basic, bearer, post, assertion, none
	Parameters     []string
	Values         map[string]string
}

// Start starts an identity provider that ends with t. dir has its server.mjs; what that imports is
// installed first if need be. Without Node the test ends, see [required.Missing].
func Start(t testing.TB, dir string, s Settings) *Server {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		required.Missing(t, "Node", err)
	}
	install(t, dir)
	config, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "server.mjs", string(config))
	cmd.Dir = dir
	line := child.Start(t, cmd).Line(t, func(line string) bool { return strings.HasPrefix(line, "{") })
	var server Server
	if err := json.Unmarshal([]byte(line), &server); err != nil {
		t.Fatalf("first line of the identity provider: %v", err)
	}
	return &server
}

func install(t testing.TB, dir string) {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider", "package.json"))
	if err == nil {
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		required.Missing(t, "npm", err)
	}
	cmd := exec.Command(npm, "ci", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		required.Missing(t, "oidc-provider", err)
	}
}

// Client returns the client of that id.
func (s *Server) Client(t testing.TB, id string) Client {
	t.Helper()
	for _, c := range s.Clients {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("the identity provider has no client %q", id)
	return Client{}
}

// Ledger returns the requests to a route since the last [Server.Forget]; those to all if it is "".
func (s *Server) Ledger(t testing.TB, route string) []Entry {
	t.Helper()
	var all, of []Entry
	if err := json.Unmarshal(s.control(t, http.MethodGet, "/"), &all); err != nil {
		t.Fatalf("ledger: %v", err)
	}
	for _, e := range all {
		if route == "" || e.Route == route {
			of = append(of, e)
		}
	}
	return of
}

// Events returns how often the provider says that it did something since the last [Server.Forget], by
// its own names: access_token.saved, refresh_token.consumed, grant.revoked, grant.error.
func (s *Server) Events(t testing.TB) map[string]int {
	t.Helper()
	var events map[string]int
	if err := json.Unmarshal(s.control(t, http.MethodGet, "/events"), &events); err != nil {
		t.Fatalf("events: %v", err)
	}
	return events
}

// Forget empties the ledger, and forgets the events.
func (s *Server) Forget(t testing.TB) {
	t.Helper()
	s.control(t, http.MethodDelete, "/")
}

func (s *Server) control(t testing.TB, method, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.Control+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
