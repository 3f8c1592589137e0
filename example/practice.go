package main

import (
	"net"
	"net/http"
	"strconv"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// startPractice returns a listener on loopback and the practice provider to serve on it, for the app at
// addr. It goes by the name localhost while the app is at 127.0.0.1: to a browser these are two sites, as
// an app and its provider are, and cookies and headers travel as they would.
func startPractice(addr string) (net.Listener, *http.Server, service, error) {
	l, err := listenBeside(addr)
	if err != nil {
		return nil, nil, service{}, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, nil, service{}, err
	}
	p := providertest.New(providertest.Config{
		Issuer:  "http://localhost:" + port,
		Clients: []providertest.Client{{ID: providertest.ClientID, Secret: providertest.ClientSecret, Name: "Lantern"}},
	})
	return l, newServer(p), practice(p), nil
}

// listenBeside listens at the port after the app's: after a restart the provider is where it was, under
// the name that people's accounts have, and who was on its pages goes on. If that is taken, it is any.
func listenBeside(addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 65535 {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n+1))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// practice returns the practice provider as a service.
func practice(p *providertest.Server) service {
	return service{
		Name: "practice", Label: "Practice",
		provider: &providers.OIDC{
			ID: "practice", Issuer: p.Issuer(),
			ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
			Scopes:  []string{"openid", "profile", "email", "offline_access", "videos"},
			APIBase: p.Issuer(),
		},
		profile: "/userinfo", videos: "/me/videos", scope: "videos", share: "videos.edit", pictures: p.Issuer(),
	}
}
