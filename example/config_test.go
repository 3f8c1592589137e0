package main

import (
	"slices"
	"strings"
	"testing"
)

const (
	key1 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ//79/Pv6+fg="
	key2 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
)

type environment map[string]string

func (e environment) get(name string) string { return e[name] }

func TestConfig(t *testing.T) {
	github := environment{"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}
	for _, tt := range []struct {
		name     string
		env      environment
		addr     string
		baseURL  string
		services []string
		practice bool
		keys     int
	}{
		{"nothing", nil, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 0},
		{"another port", environment{"ADDR": "127.0.0.1:9000"}, "127.0.0.1:9000", "http://127.0.0.1:9000", nil, true, 0},
		{"IPv6", environment{"ADDR": "[::1]:9000"}, "[::1]:9000", "http://[::1]:9000", nil, true, 0},
		{"behind a proxy", with(github, "ADDR", ":8080", "BASE_URL", "https://app.example.com"), ":8080", "https://app.example.com", []string{"github"}, false, 0},
		{"slash at the end", with(github, "BASE_URL", "https://app.example.com/"), "127.0.0.1:8080", "https://app.example.com", []string{"github"}, false, 0},
		{"all of them", with(github, "GOOGLE_CLIENT_ID", "id", "GOOGLE_CLIENT_SECRET", "s", "VIMEO_CLIENT_ID", "id", "VIMEO_CLIENT_SECRET", "s", "OIDC_ISSUER", "https://id.example.com", "OIDC_CLIENT_ID", "id", "OIDC_CLIENT_SECRET", "s"), "127.0.0.1:8080", "http://127.0.0.1:8080", []string{"oidc", "github", "google", "vimeo"}, false, 0},
		{"public client", environment{"OIDC_ISSUER": "https://id.example.com", "OIDC_CLIENT_ID": "id", "OIDC_SCOPES": "openid profile"}, "127.0.0.1:8080", "http://127.0.0.1:8080", []string{"oidc"}, false, 0},
		{"redis", environment{"STORE": "redis://127.0.0.1:6379", "KEYS": key1}, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 1},
		{"cluster", environment{"STORE": "redis+cluster://a:1,b:2", "KEYS": key1}, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 1},
		{"sentinels", environment{"STORE": "redis+sentinel://a:1,b:2/app", "KEYS": key1}, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 1},
		{"memory by name", environment{"STORE": "memory"}, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 0},
		{"two keys", environment{"KEYS": key1 + "," + key2}, "127.0.0.1:8080", "http://127.0.0.1:8080", nil, true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := readConfig(tt.env.get)
			if err != nil {
				t.Fatal(err)
			}
			var services []string
			for _, s := range c.services {
				services = append(services, s.Name)
			}
			if c.addr != tt.addr || c.baseURL != tt.baseURL || c.practice != tt.practice || len(c.keys) != tt.keys || !slices.Equal(services, tt.services) {
				t.Errorf("got %q %q practice %v keys %d %v, want %q %q practice %v keys %d %v",
					c.addr, c.baseURL, c.practice, len(c.keys), services, tt.addr, tt.baseURL, tt.practice, tt.keys, tt.services)
			}
			if c.storeURL != tt.env["STORE"] {
				t.Errorf("got store %q", c.storeURL)
			}
		})
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  environment
		want []string // all of them, each on a line of its own
	}{
		{"no port", environment{"ADDR": "127.0.0.1"}, []string{"ADDR is \"127.0.0.1\""}},
		{"port out of range", environment{"ADDR": "127.0.0.1:99999"}, []string{"ADDR is"}},
		{"reachable, no base URL", environment{"ADDR": ":8080", "GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "s"}, []string{"BASE_URL is not set"}},
		{"base URL with a path", environment{"BASE_URL": "https://app.example.com/app", "GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "s"}, []string{"BASE_URL is \"https://app.example.com/app\""}},
		{"base URL in the clear", environment{"BASE_URL": "http://app.example.com", "GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "s"}, []string{"want https"}},
		{"practice in public", environment{"BASE_URL": "https://app.example.com"}, []string{"no provider is set"}},
		{"issuer without client", environment{"OIDC_ISSUER": "https://id.example.com"}, []string{"OIDC_CLIENT_ID is not set"}},
		{"client without issuer", environment{"OIDC_CLIENT_ID": "id"}, []string{"OIDC_ISSUER is not set"}},
		{"scopes without issuer", environment{"OIDC_SCOPES": "openid"}, []string{"OIDC_ISSUER is not set"}},
		{"issuer in the clear", environment{"OIDC_ISSUER": "http://id.example.com", "OIDC_CLIENT_ID": "id"}, []string{"OIDC_…: "}},
		{"id without secret", environment{"VIMEO_CLIENT_ID": "id"}, []string{"VIMEO_CLIENT_SECRET is not set"}},
		{"secret without id", environment{"GOOGLE_CLIENT_SECRET": "hush-hush"}, []string{"GOOGLE_CLIENT_ID is not set"}},
		{"unknown store", environment{"STORE": "cloud"}, []string{"STORE is of the form \"cloud\": possible"}},
		{"postgres without an address", environment{"STORE": "postgres", "KEYS": key1}, []string{"STORE is of the form \"postgres\": possible"}},
		{"sentinels without a master", environment{"STORE": "redis+sentinel://127.0.0.1:1", "KEYS": key1}, []string{"STORE is of the form \"redis+sentinel\""}},
		{"a cluster with a password", environment{"STORE": "redis+cluster://:hush@127.0.0.1:1", "KEYS": key1}, []string{"STORE is of the form \"redis+cluster\""}},
		{"a cluster with a database", environment{"STORE": "redis+cluster://127.0.0.1:1/2", "KEYS": key1}, []string{"STORE is of the form \"redis+cluster\""}},
		{"a database in memory", environment{"STORE": "sqlite::memory:", "KEYS": key1}, []string{"STORE is of the form \"sqlite\""}},
		{"shared store without keys", environment{"STORE": "redis://127.0.0.1:6379"}, []string{"KEYS is not set"}},
		{"short key", environment{"KEYS": "aHVzaC1odXNo"}, []string{"KEYS: "}},
		{"everything at once",
			environment{"ADDR": "nowhere", "BASE_URL": "ftp://x", "OIDC_SCOPES": "a", "GITHUB_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "hush-hush", "STORE": "?", "KEYS": "aHVzaC1odXNo"},
			[]string{"ADDR is", "BASE_URL is", "OIDC_ISSUER is", "GITHUB_CLIENT_SECRET is", "GOOGLE_CLIENT_ID is", "STORE is", "KEYS: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readConfig(tt.env.get)
			if err == nil {
				t.Fatal("got no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Errorf("got %d mistakes, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) }) {
					t.Errorf("got no line with %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVz") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func with(e environment, pairs ...string) environment {
	all := environment{}
	for k, v := range e {
		all[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}
