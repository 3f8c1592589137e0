package page

import (
	"strings"
	"unicode"

	"github.com/returnleg/returnleg/internal/reason"
)

// Facts are what is known about a refused request, for the hints to a developer.
type Facts struct {
	Reason string
	Causes []string // that were found
	Logged bool     // the log has more than Causes

	Host, Scheme           string // of the base URL
	OtherHost, OtherScheme bool   // the request came by another one

	State, Bound, Session        bool   // the request has a state parameter; shows a binding cookie; shows a session cookie
	BindingCookie, SessionCookie string // their names
	RedirectURIs                 string // of the provider that it is about
	Prefix                       string // of the kit's own addresses
	StrayPath                    string // of a request that is not below it
}

// Hints returns the causes that were found, and the usual ones.
func (f *Facts) Hints() []string {
	var hints []string
	for _, cause := range f.Causes {
		hints = append(hints, "Cause: "+cause)
	}
	if f.OtherHost {
		hints = append(hints, "You opened this at another host than BaseURL, "+f.Host+". Cookies belong to one host: localhost and 127.0.0.1 are two.")
	}
	if f.OtherScheme {
		hints = append(hints, "BaseURL says "+f.Scheme+", and this request came otherwise. Secure cookies need https all the way.")
	}
	return append(hints, f.usual()...)
}

// usual returns the usual causes.
func (f *Facts) usual() (hints []string) {
	switch f.Reason {
	case reason.State:
		switch {
		case !f.State:
			hints = append(hints, "The address has no state parameter: the provider has not sent it back, or this is no answer of a provider.")
		case !f.Bound:
			hints = append(hints, "The browser sent no cookie "+f.BindingCookie+"…: it started at another host, blocks cookies, or has lost them.")
		default:
			hints = append(hints, "A cookie came along, but does not open this state: the keys were made up anew when the server restarted, or another tab's address was pasted here.")
		}
	case reason.SignedOut, reason.Loop, reason.SessionChanged:
		if !f.Session {
			hints = append(hints, "The browser sent no cookie "+f.SessionCookie+".")
		}
		if f.Reason == reason.Loop {
			hints = append(hints, "Another app at this host may use the cookie "+f.SessionCookie+", too, and sign people out here. Give each a Prefix of its own, below its path, or a CookieName.")
		}
	case reason.Unavailable:
		if !f.Logged {
			hints = append(hints, "The log has the provider's error: an address that does not answer, or a discovery document of another issuer.")
		}
	case reason.Token, reason.ProviderError:
		switch {
		case len(f.Causes) == 0:
			hints = append(hints, "The log has the check that failed, where this page was first shown.",
				"Often: the wrong client secret, or a redirect URI that is not registered as "+f.RedirectURIs+".")
		case f.Reason == reason.ProviderError:
			hints = append(hints, "The redirect URI that it was sent is "+f.RedirectURIs+".")
		}
	case reason.AppFailed:
		hints = append(hints, "OnLogin returned an error that is no refusal; the log has it. One of middleware.Refuse says that somebody may not sign in.")
	case reason.NotFound:
		hints = append(hints, "The address to register at a provider is "+f.RedirectURIs+".")
		if f.StrayPath != "" {
			hints = append(hints, "This came to "+f.StrayPath+", which is not below "+f.Prefix+": is there a proxy that takes "+f.Prefix+" away, or another address at the provider?")
		}
	}
	return hints
}

// Printable returns text as it may be shown.
func Printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 1024)]
}
