package signin

import (
	"context"
	"log/slog"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	kindAside = "aside"
	asides    = 4096 // slots for return paths that are too long
)

// asideKey returns where the return path of f is kept if it is too long for the state, and the tag that marks
// it as f's. There is a fixed number of slots for a site, and later flows reuse them: however many sign-ins
// start, they take no more room. A path that is lost costs the person the page, not the sign-in.
func (a *SignIns) asideKey(f *Flow) (sessionstore.Key, string) {
	m := f.secrets.Flow.Derive("aside", string(f.seed[:]))
	slot := (int(m[0])<<8 | int(m[1])) % asides
	return sessionstore.Key{Kind: kindAside, ID: "slot-" + keys.Text([]byte(a.env.Site.Tag)) + "-" + string(rune('a'+slot>>8)) + keys.Text([]byte{byte(slot)})}, string(m[16:])
}

func (a *SignIns) putAside(ctx context.Context, f *Flow) {
	key, tag := a.asideKey(f)
	err := a.env.Store.Update(ctx, key, sessionstore.Change{
		Mode:    sessionstore.MayExist,
		Set:     []sessionstore.Field{{Name: "path", Value: tag + f.returnTo}},
		Expires: f.expires,
		Tier:    sessionstore.Guest,
	})
	if err != nil {
		a.env.Log.Visitor(ctx, slog.LevelWarn, "return path not kept", reason.Store, slog.Any("error", err))
	}
}

// Landing returns the path to which f sends the person, [web.App.Home] if its own is lost or not of the site.
func (a *SignIns) Landing(ctx context.Context, f *Flow) string {
	path := f.returnTo
	if f.aside {
		key, tag := a.asideKey(f)
		if rec, err := a.env.Store.Load(ctx, key); err == nil {
			v, _ := rec.Field("path")
			if len(v.Value) > len(tag) && v.Value[:len(tag)] == tag {
				path = v.Value[len(tag):]
			}
		}
	}
	// The path is judged where it is used: the state may be from before a change of Prefix.
	path, ok := returnpath.Clean(a.app.URL, a.app.Prefix, path)
	if !ok {
		path = a.app.Home
	}
	if f.Page != "" {
		path = returnpath.WithQuery(path, PageParam, f.Page)
	}
	return path
}

// PageParam is the query parameter of a landing URL that names the page state.
const PageParam = "rl"
