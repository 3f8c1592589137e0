package session

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// Find loads the record of id. A record that lacks its own fields, as when the key that sealed
// them is gone, or in which they cannot be read, is as good as none.
func (a *Sessions) Find(ctx context.Context, id string) (View, error) {
	rec, err := a.Env.Read(ctx, sessionstore.Key{Kind: Kind, ID: id})
	return a.view(ctx, id, rec, err)
}

// FindAll is find for many.
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

// Load returns the session that a cookie with these parts stands for.
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
	if s.Standing == Absent {
		for i := range a.Env.Ring {
			if keys.Same(secret, a.Env.Ring[i].First(sid)) {
				s.Standing = Unstored
			}
		}
		return s, nil
	}
	h := keys.Hash(secret)
	if keys.Same(h, s.Meta.Current) {
		s.Standing = Current
		return s, nil
	}
	if keys.Same(h, s.Meta.Previous) && a.Env.Clock().Before(s.Meta.previousUntil) {
		s.Standing = Superseded
		if s.Meta.previousSame {
			s.Standing = Previous
		}
	}
	return s, nil
}

// view returns the session of id that a load has found. One of another site is none.
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
		// Nobody is half signed in: who it is that a gate lets through has to be readable, too.
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
	s.Standing = Stale // until a secret says otherwise
	return s, nil
}
