package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// A config is what the environment says.
type config struct {
	addr     string // to listen at
	baseURL  string // as browsers see it
	services []service
	storeURL string
	store    sessionstore.Store   // what storeURL names, once it is open
	keys     sessionstore.Keyring // nil: made up, which is right for the memory store

	practice bool // no provider is configured: start one
}

// readConfig returns the configuration that getenv describes, or every mistake in it, joined. The
// mistakes name variables, and show no secret.
func readConfig(getenv func(string) string) (config, error) {
	c := config{addr: getenv("ADDR")}
	if c.addr == "" {
		c.addr = "127.0.0.1:8080"
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	host, port, err := net.SplitHostPort(c.addr)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		fail("ADDR is %q: want host:port, such as 127.0.0.1:8080", c.addr)
	}
	c.baseURL = strings.TrimSuffix(getenv("BASE_URL"), "/")
	switch {
	case c.baseURL != "":
		if err := checkBaseURL(c.baseURL); err != nil {
			errs = append(errs, err)
		}
	case err == nil && loopback(host):
		c.baseURL = "http://" + net.JoinHostPort(host, port)
	case err == nil:
		fail("BASE_URL is not set: ADDR %q can be reached from elsewhere, so say which address browsers use, such as https://app.example.com", c.addr)
	}

	c.services, err = readServices(getenv)
	errs = append(errs, err)
	c.practice = len(c.services) == 0 && err == nil
	if c.practice && c.baseURL != "" && !loopback(hostOf(c.baseURL)) {
		fail("no provider is set, and the practice provider is for loopback only: set OIDC_ISSUER and OIDC_CLIENT_ID, or the _CLIENT_ID and _CLIENT_SECRET of GITHUB, GOOGLE or VIMEO")
	}

	c.storeURL = getenv("STORE")
	shared := !private(c.storeURL)
	if err := checkStore(c.storeURL); err != nil {
		errs, shared = append(errs, err), false
	} else if err := checkDriver(c.storeURL); err != nil {
		errs = append(errs, err)
	}
	s := getenv("KEYS")
	if s != "" {
		if c.keys, err = sessionstore.ParseKeyring(s); err != nil {
			fail("KEYS: %w (make one with: openssl rand -base64 32)", err)
		}
	}
	if s == "" && shared {
		fail("KEYS is not set: what STORE keeps is sealed, and has to be opened by the next process (make a key with: openssl rand -base64 32)")
	}
	return c, errors.Join(errs...)
}

// readServices returns the providers that are configured.
func readServices(getenv func(string) string) ([]service, error) {
	var all []service
	var errs []error
	issuer, id := getenv("OIDC_ISSUER"), getenv("OIDC_CLIENT_ID")
	secret, scopes := getenv("OIDC_CLIENT_SECRET"), strings.Fields(getenv("OIDC_SCOPES"))
	switch {
	case issuer != "" && id != "":
		all = append(all, openID(issuer, id, secret, scopes))
	case issuer != "":
		errs = append(errs, errors.New("OIDC_CLIENT_ID is not set, but OIDC_ISSUER is"))
	case id != "" || secret != "" || len(scopes) > 0:
		errs = append(errs, errors.New("OIDC_ISSUER is not set, but other OIDC_ variables are"))
	}
	for _, known := range []struct {
		prefix string
		make   func(id, secret string) service
	}{
		{"GITHUB", github},
		{"GOOGLE", google},
		{"VIMEO", vimeo},
	} {
		id, secret := getenv(known.prefix+"_CLIENT_ID"), getenv(known.prefix+"_CLIENT_SECRET")
		switch {
		case id != "" && secret != "":
			all = append(all, known.make(id, secret))
		case id != "":
			errs = append(errs, fmt.Errorf("%[1]s_CLIENT_SECRET is not set, but %[1]s_CLIENT_ID is", known.prefix))
		case secret != "":
			errs = append(errs, fmt.Errorf("%[1]s_CLIENT_ID is not set, but %[1]s_CLIENT_SECRET is", known.prefix))
		}
	}
	for _, s := range all {
		if v, ok := s.provider.(providers.Validator); ok {
			if err := v.Validate(); err != nil {
				errs = append(errs, fmt.Errorf("%s_…: %w", strings.ToUpper(s.Name), err))
			}
		}
	}
	return all, errors.Join(errs...)
}

// checkBaseURL repeats the kit's own check, to report its mistakes together with the others.
func checkBaseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("BASE_URL is %q: want scheme and host, such as https://app.example.com", s)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("BASE_URL is %q: want https for a host that is not loopback", s)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
