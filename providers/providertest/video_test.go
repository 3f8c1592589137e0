package providertest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// get sends a bearer token. The caller need not close the body: there is no connection behind it.
func get(t *testing.T, s *providertest.Server, path, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestChallenges(t *testing.T) {
	for _, row := range []struct {
		name      string
		token     string // "good", "narrow" or itself
		behavior  providertest.Behavior
		age       time.Duration
		status    int
		challenge string
	}{
		{"good", "good", providertest.Behavior{}, 0, 200, ""},
		{"no token", "", providertest.Behavior{}, 0, 401, `Bearer realm="practice"`},
		{"unknown token", "x", providertest.Behavior{}, 0, 401, `Bearer realm="practice", error="invalid_token"`},
		{"expired token", "good", providertest.Behavior{}, 61 * time.Minute, 401, `Bearer realm="practice", error="invalid_token"`},
		{"no scope", "narrow", providertest.Behavior{}, 0, 403, `Bearer realm="practice", error="insufficient_scope", scope="videos"`},
		{"170 level", "good", providertest.Behavior{ACR: "gold"}, 0, 401, `Bearer realm="practice", error="insufficient_user_authentication", acr_values="gold"`},
		{"170 age", "good", providertest.Behavior{MaxAge: time.Minute}, 2 * time.Minute, 401, `Bearer realm="practice", error="insufficient_user_authentication", max_age="60"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{Behavior: row.behavior})
				_, m, _ := post(t, s, "/token", newCode(t, s, practice))
				token := row.token
				switch token {
				case "good":
					token = m["access_token"].(string)
				case "narrow":
					_, m, _ = post(t, s, "/token", map[string][]string{
						"grant_type": {"refresh_token"}, "refresh_token": {m["refresh_token"].(string)}, "scope": {"openid"},
						"client_id": {practice.ID}, "client_secret": {practice.Secret},
					})
					token = m["access_token"].(string)
				}
				time.Sleep(row.age)
				resp := get(t, s, "/me/videos", token)
				if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != row.status || got != row.challenge {
					t.Errorf("got %d %s, want %d %s", resp.StatusCode, got, row.status, row.challenge)
				}
			})
		})
	}
}

func TestVideos(t *testing.T) {
	s := providertest.New(providertest.Config{})
	_, m, _ := post(t, s, "/token", newCode(t, s, practice))
	token := m["access_token"].(string)
	var list struct {
		Total int
		Data  []struct {
			URI, Name string
			Duration  int
			Pictures  struct{ Sizes []struct{ Link string } }
			Files     []struct{ Link string }
		}
	}
	if err := json.NewDecoder(get(t, s, "/me/videos", token).Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	if list.Total == 0 || list.Total != len(list.Data) || list.Data[0].Name == "" || list.Data[0].Duration == 0 {
		t.Fatalf("got %+v", list)
	}
	v := list.Data[0]
	picture := get(t, s, strings.TrimPrefix(v.Pictures.Sizes[0].Link, s.Issuer()), "")
	if got := picture.Header.Get("Content-Type"); picture.StatusCode != 200 || got != "image/svg+xml" {
		t.Errorf("picture: got %d %s", picture.StatusCode, got)
	}
	file := strings.TrimPrefix(v.Files[0].Link, s.Issuer())
	for path, want := range map[string]int64{file: 1 << 20, file + "?bytes=20000000": 20_000_000, file + "?bytes=0": 0} {
		resp := get(t, s, path, token)
		if n, err := io.Copy(io.Discard, resp.Body); n != want || err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: got %d bytes, %v", path, n, err)
		}
	}
	if got := get(t, s, "/me/videos/99/file", token).StatusCode; got != 404 {
		t.Errorf("no such video: got %d, want 404", got)
	}
	if got := get(t, s, file, "").StatusCode; got != 401 {
		t.Errorf("file without a token: got %d, want 401", got)
	}
}
