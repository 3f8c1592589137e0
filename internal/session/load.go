package session

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// Find loads the session of id without a cookie: its standing is [Stale]. A record of another site, or one
// whose own fields are missing or cannot be read, as when the key that sealed them is gone, counts as [Absent].
func (a *Sessions) Find(ctx context.Context, id string) (View, error) {
	rec, err := a.Env.Read(ctx, sessionstore.Key{Kind: Kind, ID: id})
	return a.view(ctx, id, rec, err)
}

// FindAll is [Sessions.Find] for several sessions at once.
func (a *Sessions) FindAll(ctx context.Context, ids []string) ([]View, error) {
	keys := make([]sessionstore.Key, len(ids))
	for i, id := range ids {
		keys[i] = sessionstore.Key{Kind: Kind, ID: id}
	}
	recs, err := a.Env.ReadAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	ss := make([]View, len(ids))
	for i, rec := range recs {
		var none error
		if rec.Expires.IsZero() {
			none = sessionstore.ErrNotFound
		}
		if ss[i], err = a.view(ctx, ids[i], rec, none); err != nil {
			return nil, err
		}
	}
	return ss, nil
}

// Load returns the session that a cookie with this id and secret stands for. Only an error of the store is an
// error: a session that is gone is [Absent].
func (a *Sessions) Load(ctx context.Context, sid, secret string) (View, error) {
	rec, err := a.Env.Store.Load(ctx, sessionstore.Key{Kind: Kind, ID: sid})
	s, err := a.view(ctx, sid, rec, err)
	if err != nil {
		return View{}, err
	}
	s.Secret = secret
	if s.taken {
		return s, nil
	}
	s.Standing = a.standing(&s, secret)
	return s, nil
}

// view returns the session of id for what a load of its record returned. Its standing is [Stale] until a secret
// is compared, or [Absent].
func (a *Sessions) view(ctx context.Context, id string, rec sessionstore.Record, err error) (View, error) {
	s := View{ID: id}
	if errors.Is(err, sessionstore.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.taken = true
	born, ours := rec.Holds(FieldBorn, a.Env.Site.PackedTag)
	if !ours {
		f, ok := rec.Field(FieldBorn)
		if !ok {
			return s, nil
		}
		if ours, err = a.ofSite(f); err != nil {
			a.Env.Log.Unread(ctx, Kind, FieldBorn, err)
		}
		if !ours {
			return s, nil
		}
	}
	f, ok := rec.Field(FieldMeta)
	if !ok {
		return s, nil
	}
	m, err := unpackMeta(f.Value)
	if err != nil {
		a.Env.Log.Unread(ctx, Kind, FieldMeta, err)
		return s, nil
	}
	if !a.Env.Clock().Before(m.Deadline) {
		return s, nil
	}
	if m.User != "" {
		// A gate that lets the user through reads this record, too.
		f, ok := rec.Field(FieldUser)
		if !ok {
			return s, nil
		}
		if err := a.Readable(f.Value); err != nil {
			a.Env.Log.Unread(ctx, Kind, FieldUser, err)
			return s, nil
		}
	}
	s.Record, s.Meta, s.Born, s.MetaVersion = rec, m, born, f.Version
	s.taken = false
	s.Standing = Stale
	return s, nil
}

// standing returns what a cookie with that secret is worth to s, as [Sessions.view] has returned it.
func (a *Sessions) standing(s *View, secret string) Standing {
	if s.Standing == Absent {
		for i := range a.Env.Ring {
			if keys.Same(secret, a.Env.Ring[i].First(s.ID)) {
				return Unstored
			}
		}
		return Absent
	}
	h := keys.Hash(secret)
	switch {
	case keys.Same(h, s.Meta.Current):
		return Current
	case !keys.Same(h, s.Meta.Previous) || !a.Env.Clock().Before(s.Meta.previousUntil):
		return Stale
	case s.Meta.previousSame:
		return Previous
	}
	return Superseded
}
