package refresh

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/bench/internal/redisserver"
	"github.com/returnleg/returnleg/providers/providertest"
)

// patience is how long anything may take on a busy machine.
const patience = 20 * time.Second

// A Rig is a provider and a Redis for the apps that are measured. The provider takes a refresh token
// once: when one comes again, it ends the grant (RFC 9700, section 4.14.2).
type Rig struct {
	provider *providertest.Server
	server   *http.Server
	redis    *redisserver.Server
	keys     string
	client   *http.Client
	browser  *http.Client // in which the provider remembers the person
}

// Start starts them. The caller closes the rig.
func Start() (*Rig, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("refresh: provider: %w", err)
	}
	redis, err := redisserver.Start()
	if err != nil {
		l.Close()
		return nil, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:])
	r := &Rig{
		provider: providertest.New(providertest.Config{Issuer: "http://" + l.Addr().String(), Algorithm: "ES256"}),
		redis:    redis, keys: base64.StdEncoding.EncodeToString(key[:]),
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 16}, Timeout: 2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	r.browser = r.provider.Client()
	r.server = &http.Server{Handler: r.provider, ReadHeaderTimeout: patience}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

// Close ends the provider and Redis.
func (r *Rig) Close() {
	_ = r.server.Close()
	r.redis.Close()
}

func (r *Rig) approve(authURL string) (callbackURL string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.provider.ApproveAndRemember(ctx, r.browser, authURL, "ada")
}

// token signs the one person of the peers in.
func (r *Rig) token() (*oauth2.Token, error) {
	cfg := config(r.provider.Issuer())
	verifier := oauth2.GenerateVerifier()
	callback, err := r.approve(cfg.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "nonce")))
	if err != nil {
		return nil, err
	}
	_, code, _ := strings.Cut(callback, "code=")
	code, _, _ = strings.Cut(code, "&")
	return cfg.Exchange(context.Background(), code, oauth2.VerifierOption(verifier))
}

// A process is an app on a port of its own.
type process struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.Closer
}

// spawn starts this program again, as an app.
func (r *Rig) spawn(kind string, t *oauth2.Token) (*process, error) {
	text, err := json.Marshal(settings{Kind: kind, Issuer: r.provider.Issuer(), Redis: r.redis.URL(), Keys: r.keys, Token: t})
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("refresh: app: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("refresh: app: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("refresh: app: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.close()
		return nil, fmt.Errorf("refresh: app: %w", err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func (p *process) close() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // it ends with its input; how is of no interest
}
