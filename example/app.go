package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// An app is the video library. It is an http.Handler.
type app struct {
	auth     *middleware.Auth
	services []service
	store    sessionstore.Store
	people   *people
	pages    pages
	assets   *assets
	log      *slog.Logger
	handler  http.Handler
}

// newApp returns the app of c. It sends nothing.
func newApp(c config, log *slog.Logger) (*app, error) {
	folder, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	a := &app{services: c.services, store: c.store, people: newPeople(10_000), log: log}
	if a.assets, err = newAssets(folder); err != nil {
		return nil, err
	}
	if a.pages, err = newPages(a.assets); err != nil {
		return nil, err
	}
	var all []providers.Provider
	for _, s := range c.services {
		all = append(all, s.provider)
	}
	a.auth, err = middleware.New(middleware.Config{
		BaseURL:     c.baseURL,
		Providers:   all,
		Store:       c.store,
		Keys:        c.keys,
		OnLogin:     a.welcome,
		ErrorPage:   a.showProblem,
		SessionFree: sessionFree,
		Device:      device,
		Logger:      log,
	})
	if err != nil {
		return nil, err
	}
	sameOrigin := http.NewCrossOriginProtection()
	if err := sameOrigin.AddTrustedOrigin(c.baseURL); err != nil {
		return nil, err
	}
	sameOrigin.SetDenyHandler(a.handle(a.showForeign))
	a.handler = a.logged(a.auth.Handler(limited(sameOrigin.Handler(a.routes()))))
	return a, nil
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	signedIn := a.auth.Require(middleware.Need{})

	mux.Handle("GET /{$}", a.handle(a.showHome))
	mux.Handle("GET /terms", a.handle(a.showTerms))
	mux.Handle("POST /terms", a.auth.CheckPageTag(a.handle(a.acceptTerms)))
	mux.Handle("GET /library", a.handle(a.showLibrary))
	mux.Handle("POST /library", a.auth.CheckPageTag(a.handle(a.saveLibrary)))
	mux.Handle("GET /library/account", a.handle(a.showAccount))
	mux.Handle("GET /videos", signedIn(a.handle(a.showVideos)))
	mux.Handle("POST /videos", signedIn(a.auth.CheckPageTag(a.handle(a.saveVideos))))
	mux.Handle("GET /done", signedIn(a.handle(a.showDone)))

	mux.Handle("GET /share", signedIn(a.handle(a.showShare)))
	mux.Handle("GET /share/permission", signedIn(a.handle(a.showPermission)))
	mux.Handle("POST /share", a.auth.CheckPageTag(signedIn(a.handle(a.share))))
	mux.Handle("POST /share/allow", a.auth.CheckPageTag(signedIn(a.handle(a.allowShare))))
	mux.Handle("GET /share/allow", http.RedirectHandler("/share", http.StatusSeeOther))

	mux.Handle("GET /accounts", signedIn(a.handle(a.showAccounts)))
	for path, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/accounts/connect":         a.link,
		"/accounts/disconnect":      a.disconnect,
		"/accounts/sign-out":        a.signOutDevice,
		"/accounts/sign-out-others": a.signOutOthers,
	} {
		mux.Handle("POST "+path, a.auth.CheckPageTag(signedIn(a.handle(h))))
		mux.Handle("GET "+path, http.RedirectHandler("/accounts", http.StatusSeeOther))
	}

	// It saves nothing for anybody but the way back, so it takes the form whomever its page was made
	// for. Reloaded without the form, it is the page that the form is on.
	mux.Handle("POST /connect", a.handle(a.connect))
	mux.Handle("GET /connect", http.RedirectHandler("/library", http.StatusSeeOther))

	mux.Handle("GET /api/me", signedIn(http.HandlerFunc(a.serveMe)))
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.Handle("GET /static/", http.StripPrefix("/static", a.assets))
	mux.Handle("/", a.handle(a.showNotFound))
	return mux
}

// sessionFree names what needs no store: it is served even if the store is down.
func sessionFree(r *http.Request) bool {
	return r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, "/static/")
}

// welcome notes whether this is somebody's first visit, and where they come from. What it puts into
// the session is saved together with the sign-in.
func (a *app) welcome(ctx context.Context, l *middleware.Login) error {
	a.auth.Sessions().Put(ctx, "provider", l.Provider)
	a.people.change(l.Account.ID, func(p *person) { p.First = l.IsNew })
	return nil
}

// signedInWith returns the service that the person of ctx signed in with.
func (a *app) signedInWith(ctx context.Context) *service {
	if s := a.service(a.auth.Sessions().GetString(ctx, "provider")); s != nil {
		return s
	}
	return &a.services[0]
}

func (a *app) service(name string) *service {
	for i := range a.services {
		if a.services[i].Name == name {
			return &a.services[i]
		}
	}
	return nil
}

// page returns what every page of r begins with.
func (a *app) page(r *http.Request, title string) page {
	ctx := r.Context()
	p := page{Title: title, Services: a.services, Step: steps(r.URL.Path), Tag: middleware.PageTag(ctx)}
	acc, err := middleware.User(ctx)
	if err == nil {
		p.Account = acc
		return p
	}
	// Somebody who was here before can sign in from the home page, and lands there.
	if r.URL.Path == "/" {
		p.SignIn, err = a.signInURL(ctx, "/")
		if err != nil {
			a.log.WarnContext(ctx, "no sign-in link", "error", err)
		}
	}
	return p
}

// signInURL starts a sign-in: at the only provider, or at the kit's page that lists them.
func (a *app) signInURL(ctx context.Context, returnTo string) (string, error) {
	if len(a.services) > 1 {
		return "/auth/login?" + url.Values{"return_to": {returnTo}}.Encode(), nil
	}
	return middleware.LoginURL(ctx, middleware.Need{}, returnTo)
}

// handle turns a handler that may fail into one that shows a page for it, see showProblem.
func (a *app) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.secure(w.Header())
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				var tooLarge *http.MaxBytesError
				if errors.As(err, &tooLarge) {
					a.showTrouble(w, r, http.StatusRequestEntityTooLarge, trouble{Title: "That was too much", Detail: "The form is larger than anything this page asks for. Nothing was saved.", Back: "/"})
					return
				}
				a.showTrouble(w, r, http.StatusBadRequest, trouble{Title: "That form did not arrive whole", Detail: "Nothing was saved. Go back and send it again.", Back: "/"})
				return
			}
		}
		if err := h(w, r); err != nil {
			middleware.Answer(w, r, err)
		}
	})
}

// limited caps what a form may send, before anybody reads it.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// keepForm lets the back button bring a page back with the form half filled in. Its script looks who is
// signed in before it shows what the browser has kept.
func keepForm(h http.Header) { h.Set("Cache-Control", "private, no-cache") }

// secure sets the headers of every page of ours.
func (a *app) secure(h http.Header) {
	h.Set("Content-Security-Policy", a.policy("; form-action 'self'"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// After signing out, the back button shows nothing of what was there before.
	h.Set("Cache-Control", "no-store")
}

// policy is the content security policy: nothing but our own files, and the pictures of the services.
func (a *app) policy(more string) string {
	pictures := "'self'"
	for _, s := range a.services {
		if s.pictures != "" {
			pictures += " " + s.pictures
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + pictures +
		"; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'" + more
}
