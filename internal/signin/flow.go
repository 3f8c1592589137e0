package signin

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/returnpath"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// A purpose is why somebody was sent to a provider.
type purpose uint8

const (
	SignIn purpose = 1 + iota
	StepUp         // the same person, with more scopes or a stronger sign-in
	Link           // another provider, for the person who is signed in
)

// A Flow is one visit to a provider. It is stored nowhere: the state parameter is the flow, sealed,
// with the browser's binding secret in the associated data. A start costs the server nothing, and a
// callback in another browser does not open.
type Flow struct {
	Provider string
	Label    string // of the connection; "" for signIn
	Purpose  purpose
	session  string // id of the one it started in
	user     string // who was signed in there; "" for signIn
	started  int64  // see [Auth.stamp]
	expires  time.Time
	Page     string // id of the page state that was saved before leaving
	returnTo string
	Need     connection.Need // scopes, ACR, MaxAge
	takes    string          // link: key of the account that may change hands

	seed     [16]byte
	secrets  *keys.Secrets
	back     bool   // it is from a state that came back, and not about to leave
	aside    bool   // returnTo was too long for the state, and is elsewhere
	redeemed string // id of the redemption; "" until it was asked for
	home     bool   // the browser knows the session in which it started
	retired  bool   // by what this browser has done since
}

const (
	FlowLife = time.Hour // time to find the password, or to make an account at the provider
	maxState = 500       // characters: long states break at providers
	asides   = 4096      // slots for return paths that are too long
	hintSize = 2         // bytes of a state by which the binding is found that opens it
)

var errStateTooLong = errors.New("middleware: scopes and classes do not fit into the state")

// seal returns the state parameter of f. It draws the seed.
func (a *SignIns) sealFlow(ctx context.Context, f *Flow, binding *Binding) (string, error) {
	var err error
	if f.seed, err = a.env.Seed(); err != nil {
		return "", err
	}
	f.secrets = &a.env.Ring[0]
	state := a.encodeFlow(f, binding)
	if len(state) <= maxState {
		return state, nil
	}
	f.aside = true
	if state = a.encodeFlow(f, binding); len(state) > maxState {
		return "", errStateTooLong
	}
	a.putAside(ctx, f)
	return state, nil
}

func (a *SignIns) encodeFlow(f *Flow, binding *Binding) string {
	b := make([]byte, 0, 256)
	b = packed.AppendString(b, f.Provider)
	b = append(b, byte(f.Purpose))
	b = packed.AppendString(b, string(keys.Raw(f.session)))
	b = packed.AppendString(b, string(keys.Raw(f.user)))
	b = packed.AppendUint(b, uint64(f.started))
	b = packed.AppendString(b, string(keys.Raw(f.Page)))
	b = packed.AppendAlike(b, f.Need.Scopes)
	b = packed.AppendAlike(b, f.Need.ACR)
	b = packed.AppendUint(b, uint64(providers.WholeSeconds(f.Need.MaxAge)))
	b = packed.AppendString(b, f.Label)
	b = packed.AppendString(b, string(keys.Raw(f.takes)))
	b = packed.AppendBool(b, f.aside)
	if !f.aside {
		b = packed.AppendString(b, f.returnTo)
	}
	sealed := f.secrets.State.SealOnce(f.seed, b, a.flowData(a.bindingSecret(binding)))
	return keys.Text(append(append(append(b[:0], f.secrets.ID), binding.id[:hintSize]...), sealed...))
}

// flowData is what a state is bound to besides its content. Its key is the site's; and what was started at one
// of the site's addresses does not come back to another, which is not the redirect URI that the code is for.
func (a *SignIns) flowData(binding string) []byte {
	b := make([]byte, 0, 4+len(a.app.Origin)+len(binding)) // both lengths take two bytes at most
	b = packed.AppendString(b, a.app.Origin)
	return packed.AppendString(b, binding)
}

// OpenFlow returns the flow of a state, if one of the bindings opens it. One of a binding that was retired
// before the flow started comes with false: of that, nobody may use more than where it was to lead.
func (a *SignIns) OpenFlow(state string, j *jar) (*Flow, bool) {
	if len(state) > maxState {
		return nil, false
	}
	sealed := keys.Raw(state)
	if len(sealed) <= 1+hintSize {
		return nil, false
	}
	k, hint, sealed := a.env.Key(sealed[0]), string(sealed[1:1+hintSize]), sealed[1+hintSize:]
	if k == nil {
		return nil, false
	}
	var tried Binding
	for i := range j.Kept {
		b := &j.Kept[i].Binding
		if string(b.id[:hintSize]) != hint || *b == tried {
			continue
		}
		tried = *b
		secret := a.bindingSecret(b)
		if secret == "" {
			continue
		}
		seed, plain, err := k.State.OpenOnce(sealed, a.flowData(secret))
		if err != nil {
			continue
		}
		f := &Flow{seed: seed, secrets: k, back: true}
		if !f.decode(string(plain)) {
			return nil, false
		}
		limit := j.retired(b)
		f.home, f.retired = j.home(b, a.homeOf(b, f.session)), limit != math.MaxInt64
		return f, f.started < limit
	}
	return nil, false
}

func (f *Flow) decode(s string) bool {
	r := packed.Read(s)
	f.Provider = r.String()
	f.Purpose = purpose(r.Uint())
	f.session = keys.Text([]byte(r.String()))
	f.user = keys.Text([]byte(r.String()))
	f.started = int64(r.Uint())
	f.expires = time.UnixMicro(f.started).Add(FlowLife)
	f.Page = keys.Text([]byte(r.String()))
	f.Need.Scopes = r.Alike()
	f.Need.ACR = r.Alike()
	f.Need.MaxAge = time.Duration(r.Uint()) * time.Second
	f.Label = r.String()
	f.takes = keys.Text([]byte(r.String()))
	f.Need.Provider, f.Need.Label = f.Provider, f.Label
	if f.aside = r.Bool(); !f.aside {
		f.returnTo = r.String()
	}
	// What a later version may send people for is nothing that this one knows how to judge.
	return r.Err() == nil && f.Purpose >= SignIn && f.Purpose <= Link
}

// visit returns what the provider is told. Verifier and nonce follow from the seed, under our key:
// nothing has to be stored to know them again, and who sees the state cannot compute them.
func (a *SignIns) visit(f *Flow, state string, s *session.View) *providers.Flow {
	seed := string(f.seed[:])
	verifier, nonce := f.secrets.Flow.Derive("verifier", seed), f.secrets.Flow.Derive("nonce", seed)
	v := &providers.Flow{
		RedirectURL: a.app.RedirectURI(f.Provider),
		State:       state,
		Verifier:    keys.Text(verifier[:]),
		Nonce:       keys.Text(nonce[:]),
		Scopes:      f.Need.Scopes,
		MaxAge:      f.Need.MaxAge,
		ACR:         f.Need.ACR,
	}
	if f.Purpose == Link {
		for g := range connection.GrantsOf(s) {
			if g.Provider == f.Provider && g.Label != f.Label {
				v.Prompt = "select_account" // or they come back as who they are there already
			}
		}
	}
	if f.Purpose != StepUp {
		return v
	}
	if g, ok := connection.GrantOf(s, connection.ID(f.Provider, f.Label)); ok {
		// The new token takes the old one's place: it has to carry what that one did. One that came after f
		// had left was not asked for, and a provider that does not say what it grants means what was asked
		// for. The state has full seconds. Who leaves now has what there is, whatever the clock says of whoever
		// noted it.
		if began := time.UnixMicro(f.started).Truncate(time.Second).Add(time.Second); !f.back || !g.Obtained.After(began) {
			v.Scopes = append(append([]string(nil), g.Token.Scopes...), connection.Missing(f.Need.Scopes, g.Token.Scopes)...)
		}
		v.Subject = g.Subject
	}
	return v
}

// A return path that is too long for the state goes into one of a fixed number of slots of the site, which
// later ones reuse: however many sign-ins are started, it takes no more room. One that is lost
// costs the person the page, not the sign-in.
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

// Landing returns where f sends the person who is back.
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
	// The address is judged where it is used: a state from before a change of Prefix, say.
	path, ok := returnpath.Clean(a.app.URL, a.app.Prefix, path)
	if !ok {
		path = a.app.Home
	}
	if f.Page != "" {
		path = returnpath.WithQuery(path, PageParam, f.Page)
	}
	return path
}

// ending returns how f ended, for the other tabs.
func (f *Flow) ending(result string) session.Ending {
	m := f.secrets.Flow.Derive("public", string(f.seed[:]))
	return session.Ending{ID: keys.Text(m[:9]), Provider: f.Provider, Result: result}
}

const kindAside = "aside"

// room refuses a link that would be one connection too many.
func (f *Flow) room(s *session.View) error {
	if f.Purpose != Link || connection.HasRoom(s, f.Provider, f.Label) {
		return nil
	}
	return reason.New(reason.Connections, nil)
}

// PageParam is the query parameter of a landing URL that names the page state.
const PageParam = "rl"
