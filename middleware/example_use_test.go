package middleware_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// Check asks what Require asks, for a page that is for everybody and has more to show to some.
func ExampleCheck() {
	auth, practice := stage()
	upload := middleware.Need{Provider: "practice", Scopes: []string{"upload"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		switch err := middleware.Check(r.Context(), upload); {
		case errors.Is(err, middleware.ErrSignedOut):
			fmt.Fprintln(w, "Sign in to see your videos.")
		case errors.Is(err, middleware.ErrReauthRequired):
			fmt.Fprintln(w, "Your account needs connecting again.")
		case errors.Is(err, middleware.ErrStepUp):
			fmt.Fprintln(w, "Your videos. To upload one, we need to ask you first.")
		default:
			fmt.Fprintln(w, "Your videos, and a form to upload one.")
		}
	})
	mux.Handle("GET /upload", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := middleware.Check(r.Context(), upload); err != nil {
			return err // which leads there and back here
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}))
	ada := visit(auth.Handler(mux), practice)
	ada.open("/")
	ada.open("/auth/practice/login")
	ada.open("/upload")
	// Output:
	// Sign in to see your videos.
	// Your videos. To upload one, we need to ask you first.
	// Your videos, and a form to upload one.
}

// Answer turns the errors of this package into what the browser needs: here, a page load whose person
// is not signed in goes to the provider, and comes back to where it was.
func ExampleAnswer() {
	auth, practice := stage()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		resp, err := middleware.Client(r.Context(), "practice").Get("/me")
		if err != nil {
			middleware.Answer(w, r, err) // before anything else was written
			return
		}
		defer resp.Body.Close()
		fmt.Fprintln(w, "The API says", resp.StatusCode)
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) {
		middleware.Answer(w, r, errors.New("dial tcp 10.0.0.7: password=hunter2")) // is for the log
	})
	ada := visit(auth.Handler(mux), practice)
	ada.open("/me")
	ada.open("/broken")
	// Output:
	// The API says 200
	// 500 Something went wrong
}

// WithoutRefresh is for an app that renews tokens when it sees fit. All others need nothing of this: a
// Client and Token renew what has ended by themselves.
func ExampleWithoutRefresh() {
	auth, practice := stage()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		ctx := middleware.WithoutRefresh(r.Context())
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		resp, err := middleware.Client(ctx, "practice").Do(ask)
		switch {
		case errors.Is(err, middleware.ErrTokenExpired): // it has not been sent
			fmt.Fprintln(w, "The token has ended.")
			return
		case err != nil:
			middleware.Answer(w, r, err)
			return
		}
		defer resp.Body.Close()
		fmt.Fprintln(w, "The API says", resp.StatusCode)
	})
	mux.Handle("GET /renew", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := middleware.Refresh(r.Context(), "practice"); err != nil {
			return err
		}
		_, err := io.WriteString(w, "renewed")
		return err
	}))
	ada := visit(auth.Handler(mux), practice)
	ada.open("/me")
	practice.ExpireAccess() // before its time, so that only the API knows
	ada.open("/me")
	ada.open("/renew")
	ada.open("/me")
	// Output:
	// The API says 200
	// The API says 401
	// renewed
	// The API says 200
}

// SavePage keeps what was half filled in while the person is away; the tab that comes back has it.
func ExampleSavePage() {
	auth, practice := stage()
	type draft struct{ Title, Note string }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		form := draft{r.PostFormValue("title"), r.PostFormValue("note")}
		if err := middleware.SavePage(r.Context(), form); err != nil {
			http.Error(w, "too much text", http.StatusBadRequest)
			return
		}
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "practice"}, "/form")
		if err != nil {
			http.Error(w, "cannot connect", http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) {
		var form draft
		if err := middleware.Returned(r.Context(), &form); err != nil {
			form = draft{"untitled", ""} // nobody came back: an empty form
		}
		fmt.Fprintf(w, "%s: %s\n", form.Title, form.Note)
	})
	ada := visit(auth.Handler(mux), practice)
	ada.send("/connect", "title", "Nanoseconds", "note", "half a sen")
	ada.open("/form") // another tab
	// Output:
	// Nanoseconds: half a sen
	// untitled:
}

// Take is for values that must be used once: Pop could give one to two requests.
func ExampleTake() {
	auth, practice := stage()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /draw", func(w http.ResponseWriter, r *http.Request) {
		auth.Sessions().Put(r.Context(), "coupon", "SPRING")
		fmt.Fprintln(w, "you have one")
	})
	mux.HandleFunc("POST /redeem", func(w http.ResponseWriter, r *http.Request) {
		coupon, ok, err := middleware.Take(r.Context(), "coupon")
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		if !ok {
			http.Error(w, "used already", http.StatusConflict)
			return
		}
		fmt.Fprintln(w, "thank you for", coupon)
	})
	ada := visit(auth.Handler(mux), practice)
	ada.send("/draw")
	ada.send("/redeem")
	ada.send("/redeem")
	// Output:
	// you have one
	// thank you for SPRING
	// 409 used already
}

// PageTag keeps a form that was made for one person from being acted on as another, who has signed in
// in the same browser since.
func ExamplePageTag() {
	auth, practice := stage()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		// In a template: <input type="hidden" name="page_tag" value="{{.Tag}}">
		w.Header().Set("Page-Tag", middleware.PageTag(r.Context()))
		fmt.Fprintln(w, "a form with a tag")
	})
	mux.HandleFunc("POST /delete", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "deleted")
	})
	tab := visit(auth.Handler(auth.CheckPageTag(mux)), practice)
	tab.open("/auth/practice/login")
	page, err := tab.Get("https://app.example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	tag := page.Header.Get("Page-Tag")
	tab.send("/delete", "page_tag", tag)

	other := tab // of the same browser
	other.send("/auth/logout")
	practice.SignInAs("grace")
	other.open("/auth/practice/login")

	tab.send("/delete", "page_tag", tag)
	// Output:
	// a form with a tag
	// deleted
	// a form with a tag
	// a form with a tag
	// 409 This page is out of date
}

// SessionsOf is the list of places where somebody is signed in; SignOutUser ends them all, for somebody
// whose account was taken over, say.
func ExampleAuth_SessionsOf() {
	auth, practice := stage()
	mux := http.NewServeMux()
	mux.Handle("GET /", auth.Require(middleware.Need{})(middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		who, err := middleware.User(r.Context())
		if err != nil {
			return err
		}
		sessions, err := auth.SessionsOf(r.Context(), who.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %d\n", who.Identity.Name, len(sessions))
		for _, s := range sessions {
			if s.Current {
				fmt.Fprintln(w, "here with", s.Provider)
			}
		}
		return nil
	})))
	mux.Handle("POST /out", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		who, err := middleware.User(r.Context())
		if err != nil {
			return err
		}
		if err := auth.SignOutUser(r.Context(), who.ID); err != nil {
			return err
		}
		fmt.Fprintln(w, "signed out everywhere")
		return nil
	}))
	app := auth.Handler(mux)
	laptop, phone := visit(app, practice), visit(app, practice)
	laptop.open("/")
	phone.open("/")
	phone.send("/out")
	laptop.send("/out")
	// Output:
	// Ada Lovelace: 1
	// here with practice
	// Ada Lovelace: 2
	// here with practice
	// signed out everywhere
	// 401 Please sign in
}

// http.CrossOriginProtection stands inside of Handler, before the app's own handlers. Around Handler it would refuse
// the answer that some providers have the browser post from their page; the kit's own addresses look at who sent
// a request by themselves.
func ExampleAuth_Handler_crossOrigin() {
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "https://app.example.com",
		Providers: []providers.Provider{providers.GitHub("id", "secret")},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /library", auth.CheckPageTag(http.NotFoundHandler()))

	sameOrigin := http.NewCrossOriginProtection()
	_ = auth.Handler(sameOrigin.Handler(mux)) // and not sameOrigin.Handler(auth.Handler(mux))
}
