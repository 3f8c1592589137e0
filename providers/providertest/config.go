package providertest

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The client that a [Config] without clients knows.
const (
	ClientID     = "practice"
	ClientSecret = "practice-secret"
)

// A Config says what a [Server] knows and how long things last. The zero Config is a good
// provider: one client, some accounts, every scope, RS256, strict rotation.
type Config struct {
	// Issuer is the provider's URL. Of [New]: "" is "https://idp.example", for use without
	// sockets. Of [NewServer]: "" is the address it listens at, and a path such as "/tenant" is
	// added to that address.
	Issuer string

	Name     string    // shown on the pages; "" is "Practice Provider"
	Clients  []Client  // nil: the one of [ClientID] and [ClientSecret]
	Accounts []Account // nil: [Accounts]

	// Algorithm signs ID tokens: "RS256" (also for ""), "ES256" or "EdDSA". Servers of one process
	// share their RSA keys, which are slow to make; the keys of the others are a server's own.
	Algorithm string

	CodeTTL    time.Duration // 0: a minute
	AccessTTL  time.Duration // 0: an hour; expires_in
	RefreshTTL time.Duration // 0: 30 days
	SessionTTL time.Duration // 0: a day; of a person who is remembered here

	// Now is the clock; nil: time.Now, which testing/synctest controls.
	Now func() time.Time

	// Limit is how many codes, tokens, sessions and ledger entries are kept, each; the oldest go
	// first. 0: 20,000.
	Limit int

	Behavior Behavior // at the start; see [Server.Set]
}

// A Client is an app that the provider knows.
type Client struct {
	ID     string
	Secret string // "": a public client
	Name   string // shown on the consent page; "": ID

	// Redirects are the redirect URIs, compared byte by byte. None: every URI on loopback, or at
	// a name that is reserved for tests and examples (RFC 2606), such as app.example.
	Redirects []string

	// Auth is the only accepted authentication method: "client_secret_basic", "client_secret_post"
	// or "none". "": basic and post, or none if Secret is "".
	Auth string
}

// An Account is a person who can sign in. There are no passwords: nothing here is real.
type Account struct {
	ID      string // what login_hint, [Server.SignInAs] and [Server.Approve] call them
	Subject string // sub; "": "practice-" and ID
	Name    string
	Email   string // "": none

	EmailVerified bool
	Claims        map[string]any // further claims, such as "locale"; they go with scope profile
}

// Accounts returns the people of a [Config] without accounts: with a verified address and with one
// that is not, without any, and two who claim the same one.
func Accounts() []Account {
	return []Account{
		{ID: "ada", Name: "Ada Lovelace", Email: "ada@practice.example", EmailVerified: true},
		{ID: "grace", Name: "Grace Hopper", Email: "grace@practice.example", EmailVerified: true},
		{ID: "evariste", Name: "Évariste Galois", Email: "evariste@practice.example"},
		{ID: "emmy", Name: "Emmy Noether"},
		{ID: "impostor", Name: "Not Ada", Email: "ada@practice.example"},
	}
}

func (c Config) withDefaults() Config {
	if c.Issuer == "" {
		c.Issuer = "https://idp.example"
	}
	if c.Name == "" {
		c.Name = "Practice Provider"
	}
	if c.Clients == nil {
		c.Clients = []Client{{ID: ClientID, Secret: ClientSecret, Name: "Practice App"}}
	}
	if c.Accounts == nil {
		c.Accounts = Accounts()
	}
	c.Accounts = slices.Clone(c.Accounts)
	for i, a := range c.Accounts {
		if a.Subject == "" {
			c.Accounts[i].Subject = "practice-" + a.ID
		}
	}
	if c.Algorithm == "" {
		c.Algorithm = "RS256"
	}
	c.CodeTTL = or(c.CodeTTL, time.Minute)
	c.AccessTTL = or(c.AccessTTL, time.Hour)
	c.RefreshTTL = or(c.RefreshTTL, 30*24*time.Hour)
	c.SessionTTL = or(c.SessionTTL, 24*time.Hour)
	c.Limit = or(c.Limit, 20_000)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (c Config) client(id string) (Client, bool) {
	for _, k := range c.Clients {
		if k.ID == id {
			return k, true
		}
	}
	return Client{}, false
}

// account finds a person by id, subject or address.
func (c Config) account(name string) (Account, bool) {
	if name == "" {
		return Account{}, false
	}
	for _, a := range c.Accounts {
		if a.ID == name || a.Subject == name || a.Email == name {
			return a, true
		}
	}
	return Account{}, false
}

// redirectAllowed compares exactly: RFC 9700, section 2.1.
func (c Client) redirectAllowed(uri string) bool {
	if len(c.Redirects) > 0 {
		return slices.Contains(c.Redirects, uri)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Fragment != "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	return harmless(u.Hostname())
}

// harmless reports whether host can only be this machine or nobody: loopback, and the names
// reserved by RFC 2606.
func harmless(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	for _, d := range []string{"localhost", "example", "test", "invalid", "example.com", "example.net", "example.org"} {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

func (c Client) name() string { return or(c.Name, c.ID) }
