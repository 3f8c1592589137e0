module github.com/returnleg/returnleg/adapters/echo

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/returnleg/returnleg v0.0.0
)

require (
	github.com/alexedwards/scs/v2 v2.9.0 // indirect
	github.com/coreos/go-oidc/v3 v3.21.0 // indirect
	github.com/go-jose/go-jose/v4 v4.1.8 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/returnleg/returnleg => ../..
