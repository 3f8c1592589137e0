package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/returnleg/returnleg/internal/check"
	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// A Connection is one account at one provider that the session is connected with.
type Connection struct {
	Provider string    `json:"provider"`
	Label    string    `json:"label,omitempty"`    // see [WithConnection]
	Name     string    `json:"name,omitempty"`     // of the account, for people
	Scopes   []string  `json:"scopes"`             // granted
	Declined []string  `json:"declined,omitempty"` // asked for by the latest sign-in, and not granted
	Expires  time.Time `json:"expires,omitzero"`   // of the token; zero: unknown. It may be renewed before
	Ended    bool      `json:"ended"`              // it is of no use until the person signs in there again
}

// Connections returns what the session is connected with, the one of the sign-in first. Nobody
// signed in is [ErrSignedOut].
func Connections(ctx context.Context) ([]Connection, error) {
	q, err := from(ctx)
	if err != nil {
		return nil, err
	}
	s := q.View()
	if !s.SignedIn() {
		return nil, ErrSignedOut
	}
	return connectionsOf(s, q.auth.env.Clock()), nil
}

// Disconnect ends the connection with a provider, in this session: provider "" is the one of the
// sign-in, and [WithConnection] chooses among several accounts. Nobody can use its token any more
// when Disconnect returns; the provider is asked to revoke it in the background, so that one that
// does not answer keeps nobody waiting. An account that was linked to the one that is signed in can
// from now on be somebody's own; sessions elsewhere that were signed in by it end. The person stays
// signed in here.
//
// Nobody signed in is [ErrSignedOut]; what is not connected is no error. The address
// {Prefix}/{provider}/disconnect does it for a form, with the fields label and return_to.
func Disconnect(ctx context.Context, provider string) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	s := q.View()
	if !s.SignedIn() {
		return ErrSignedOut
	}
	if provider == "" {
		provider = s.Meta.Provider
	}
	label := labelOf(ctx)
	if !check.Name(provider) || !validLabel(label) {
		return nil // nothing can be connected under it
	}
	return outward(q.auth.connections.Disconnect(&q.Request, connection.ID(provider, label)))
}

// disconnect answers {Prefix}/{provider}/disconnect, for a form of the app's own pages.
func (q *request) disconnect(w http.ResponseWriter, name string) *Problem {
	a := q.auth
	r := q.r
	if p := methods(w, r, http.MethodPost); p != nil {
		return p
	}
	if a.app.CrossOrigin(r) {
		return problem(reason.CrossOrigin, nil)
	}
	if err := web.ReadForm(w, r); err != nil {
		return problemOf(err)
	}
	label := r.Form.Get(labelParam)
	if !validLabel(label) {
		return problem(reason.Parameter, errors.New("middleware: disconnect: label"))
	}
	back, ok := a.app.OwnPath(r.Form.Get(returnParam))
	if !ok {
		back = a.app.Home
	}
	if !q.View().SignedIn() {
		return a.retryable(problem(reason.SignedOut, nil), name, back)
	}
	if p := q.outdated(); p != nil {
		return p
	}
	if err := a.connections.Disconnect(&q.Request, connection.ID(name, label)); err != nil {
		return q.judge(w, r, outward(err))
	}
	web.Redirect(w, back)
	return nil
}

// aim decides what a sign-in that was asked for by its URL is for.
func (a *Auth) aim(s *session.View, d *signin.Departure, form url.Values) *Problem {
	d.Label = d.Need.Label
	if d.Purpose == signin.Link {
		if form.Has(labelParam) {
			d.Label = form.Get(labelParam)
		}
		if !validLabel(d.Label) || len(form[labelParam]) > 1 {
			return problem(reason.Parameter, errors.New("middleware: link: label"))
		}
		if sealed := form.Get(moveParam); sealed != "" {
			var ok bool
			if d.Takes, ok = a.signins.OpenMove(sealed, s); !ok {
				return a.anew(problem(reason.Parameter, nil), d)
			}
		}
		return nil
	}
	if !a.signins.Aim(s, d) {
		return nil
	}
	// A link on another site must not be able to connect an account: a button does.
	button := *d
	button.Purpose = signin.Link
	p := a.anew(problemLacking(connection.LacksProvider, d.Provider), &button)
	p.Provider = d.Provider
	return p
}

// move offers to move an account that belongs to somebody else here to whoever is signed in: they
// have just shown that it is theirs, too. It takes a button, and another visit to the provider, so
// that nothing has to be kept meanwhile.
func (a *Auth) move(p *Problem, s *session.View, f *signin.Flow, account, landing string) *Problem {
	sealed, err := a.signins.SealMove(s, account)
	if err != nil {
		return problem(reason.Random, err)
	}
	v := url.Values{returnParam: {landing}, purposeParam: {"link"}, moveParam: {sealed}}
	if f.Label != "" {
		v.Set(labelParam, f.Label)
	}
	if len(f.Need.Scopes) > 0 || f.Page != "" {
		if sealed, err := a.signins.SealNeed(f.Need, f.Provider, f.Page); err == nil {
			v.Set(needParam, sealed)
		}
	}
	p.LoginURL, p.LoginPost = a.app.Prefix+"/"+f.Provider+"/login?"+v.Encode(), true
	return p
}

// validLabel reports that s may name a connection.
func validLabel(s string) bool {
	return s == "" || check.Name(s) || s == "login" || s == "logout" || s == "status"
}

// connectionsOf returns what s is connected with, the one of the sign-in first.
func connectionsOf(s *session.View, now time.Time) []Connection {
	cs := []Connection{}
	for _, c := range connection.Summaries(s, now) {
		cs = append(cs, Connection(c))
	}
	return cs
}
