package signin

import (
	"context"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/session"
)

// reissueLife is how long after a sign-in its cookie is given once more.
const reissueLife = 2 * time.Minute

// Reissue returns the outcome of a sign-in that is done once more, for its browser: the first answer may have
// been lost on the way. The browser is the same if it shows what the answered request showed, and no request has
// shown the new cookie. For any other browser the outcome is nil, and so it is if another cookie has followed or
// another person has signed in since: a reload does not change who is signed in.
func (a *SignIns) Reissue(ctx context.Context, q *session.Request, b Browser, red *Redemption) (*Outcome, error) {
	if a.env.Clock().Sub(red.at) > reissueLife || !keys.Same(red.shown, b.Shown()) {
		return nil, nil
	}
	p := *q.Now.Load()
	if p.ID != "" { // as it is now: this request may have waited for the end of the sign-in
		var err error
		if p, err = a.sessions.Load(ctx, p.ID, p.Secret); err != nil {
			return nil, err
		}
	}
	if p.Standing == session.Current && p.ID == red.session || p.SignedIn() && p.Meta.User != red.user {
		return nil, nil
	}
	s, err := a.sessions.Find(ctx, red.session)
	if err != nil || s.Meta.User == "" || s.Meta.User != red.user || !s.Meta.Unseen {
		return nil, err
	}
	shown := ""
	if p.ID == s.ID {
		shown = p.Secret
	}
	secret, ok := a.followed(&s, shown, red.user)
	if !ok {
		return nil, nil
	}
	return &Outcome{session: s.ID, secret: secret, deadline: s.Meta.Deadline, persist: s.Meta.Persist, user: red.user}, nil
}

// followed returns the present secret of s if it follows, at a sign-in of user, from the secret that the browser
// shows, from the one before, or from none.
func (a *SignIns) followed(s *session.View, shown, user string) (string, bool) {
	presents := []string{hashed + s.Meta.Previous, fresh, shown}
	for i := range a.env.Ring {
		for _, present := range presents {
			if secret := a.env.Ring[i].Next(s.ID, present, user, s.Born); keys.Hash(secret) == s.Meta.Current {
				return secret, true
			}
		}
	}
	return "", false
}
