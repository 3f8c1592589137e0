package middleware

import (
	"context"
	"time"
)

// A Session is one of a person's sessions, for a list of the places where they are signed in.
type Session struct {
	ID       string // opens nothing; for [Auth.EndSession]
	Provider string // of the sign-in
	Device   string // what [Config].Device said at the sign-in
	Current  bool   // the one of the request whose context was given

	Created  time.Time // when the person signed in
	LastSeen time.Time // to within a tenth of the idle timeout; without one, Created
	Expires  time.Time // if it is not used any more
}

// SessionsOf returns the sessions in which user is signed in, the latest first. user is an
// [Account].ID; one who is signed in nowhere, or unknown, has none, which is no error. They are loaded
// together, if the store can do that: see [sessionstore.BatchLoader]. ctx may be that of a request, or any.
func (a *Auth) SessionsOf(ctx context.Context, user string) ([]Session, error) {
	here := ""
	if q, err := from(ctx); err == nil && q.auth == a {
		here = q.View().ID
	}
	found, err := a.accounts.SessionsOf(ctx, user, here)
	if err != nil {
		return nil, broken(err)
	}
	var all []Session
	for _, s := range found {
		all = append(all, Session(s))
	}
	return all, nil
}

// SignOutUser ends every session of user, an [Account].ID, wherever it is; one that a sign-in is
// about to make included. It takes effect with the next request of each. Nobody of that ID is no
// error. After an error some may be ended; it is safe to try again. A store that is full
// ([sessionstore.ErrFull]) ends them as well; the error then says how many have ended, and that nothing
// could be left to stop a sign-in that is about to make another. ctx may be that of a request, or any.
func (a *Auth) SignOutUser(ctx context.Context, user string) error {
	return broken(a.accounts.EndAll(ctx, user, ""))
}

// SignOutOthers ends every session of whoever is signed in, except the one of this request. Nobody
// signed in is [ErrSignedOut].
func SignOutOthers(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	acc, err := q.user()
	if err != nil {
		return err
	}
	return broken(q.auth.accounts.EndAll(ctx, acc.ID, q.View().ID))
}

// EndSession ends one session of user, by the id that [Auth.SessionsOf] gave. One that is not there,
// or somebody else's, is no error and is left alone.
func (a *Auth) EndSession(ctx context.Context, user, id string) error {
	return broken(a.accounts.EndSession(ctx, user, id))
}
