package main

import (
	"net"
	"net/http"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// startPractice returns a listener on loopback and the practice provider to serve on it. It goes by
// the name localhost while the app is at 127.0.0.1: to a browser these are two sites, as an app and
// its provider are, and cookies and headers travel as they would.
func startPractice() (net.Listener, *http.Server, service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, service{}, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, nil, service{}, err
	}
	p := providertest.New(providertest.Config{Issuer: "http://localhost:" + port})
	return l, newServer(p), practice(p), nil
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
