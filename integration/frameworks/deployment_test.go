package frameworks_test

import (
	"net/http"
	"os"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

func belowPath(ps []providers.Provider) (http.Handler, error) {
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "https://www.example.com",
		Prefix:    "/shop/auth",
		Home:      "/shop/",
		Providers: ps,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /shop/members/me", auth.Require(middleware.Need{})(hello()))
	return auth.Handler(mux), nil
}

func strippedPath(ps []providers.Provider) (http.Handler, error) {
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "https://www.example.com",
		Prefix:    "/shop/auth",
		Home:      "/shop/",
		Providers: ps,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /shop/members/me", auth.Require(middleware.Need{})(hello()))
	return restorePath("/shop", auth.Handler(mux)), nil
}

func restorePath(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.Path = prefix + u.Path
		if u.RawPath != "" {
			u.RawPath = prefix + u.RawPath
		}
		r = r.Clone(r.Context())
		r.URL, r.RequestURI = &u, u.RequestURI()
		next.ServeHTTP(w, r)
	})
}

func tenants(configs []middleware.Config, app func(*middleware.Auth) http.Handler) (http.Handler, error) {
	byURL := map[string]http.Handler{}
	for _, cfg := range configs { // each with a BaseURL and Providers of its own; Store and Keys may be shared
		auth, err := middleware.New(cfg)
		if err != nil {
			return nil, err
		}
		byURL[cfg.BaseURL] = app(auth)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant, ok := byURL["https://"+r.Host]
		if !ok {
			http.Error(w, "This site is not served here.", http.StatusMisdirectedRequest)
			return
		}
		tenant.ServeHTTP(w, r)
	}), nil
}

func behindTLS() (*http.Server, error) {
	auth, err := middleware.New(middleware.Config{
		BaseURL: "https://app.example.com", // what browsers see
		Providers: []providers.Provider{
			providers.GitHub(os.Getenv("GITHUB_CLIENT_ID"), providers.Secret(os.Getenv("GITHUB_CLIENT_SECRET"))),
		},
	})
	if err != nil {
		return nil, err
	}
	return &http.Server{Addr: "127.0.0.1:8080", Handler: netHTTP(auth)}, nil // what the proxy sees
}

func crossOrigin(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(hello()))
	mux.Handle("POST /members/note", auth.Require(middleware.Need{})(auth.CheckPageTag(hello())))
	return auth.Handler(http.NewCrossOriginProtection().Handler(mux))
}

func traced(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(hello()))
	return otelhttp.NewHandler(auth.Handler(mux), "app")
}
