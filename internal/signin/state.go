package signin

import (
	"context"
	"errors"
	"math"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/providers"
)

const (
	maxState = 500 // characters: long states break at providers
	hintSize = 2   // bytes of a state by which the binding is found that opens it
)

var errStateTooLong = errors.New("middleware: scopes and classes do not fit into the state")

// sealFlow draws the seed of f, and returns its state parameter. A return path that does not fit is put aside.
func (a *SignIns) sealFlow(ctx context.Context, f *Flow, by *binding) (string, error) {
	var err error
	if f.seed, err = a.env.Seed(); err != nil {
		return "", reason.New(reason.Random, err)
	}
	f.secrets = &a.env.Ring[0]
	state := a.encodeFlow(f, by)
	if len(state) <= maxState {
		return state, nil
	}
	f.aside = true
	if state = a.encodeFlow(f, by); len(state) > maxState {
		return "", reason.New(reason.Parameter, errStateTooLong)
	}
	a.putAside(ctx, f)
	return state, nil
}

func (a *SignIns) encodeFlow(f *Flow, by *binding) string {
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
	sealed := f.secrets.State.SealOnce(f.seed, b, a.flowData(a.bindingSecret(by)))
	return keys.Text(append(append(append(b[:0], f.secrets.ID), by.id[:hintSize]...), sealed...))
}

// flowData returns the associated data of a state. The key is the site's, and a site may have several
// addresses: a flow that started at one of them does not open at another, because its code is for the redirect
// URI of the first.
func (a *SignIns) flowData(binding string) []byte {
	b := make([]byte, 0, 4+len(a.app.Origin)+len(binding)) // both lengths take two bytes at most
	b = packed.AppendString(b, a.app.Origin)
	return packed.AppendString(b, binding)
}

// OpenFlow returns the flow of a state, if one of the bindings opens it. A binding that was retired before the
// flow started opens it with ok false: of such a flow, only the landing may be used.
func (a *SignIns) OpenFlow(state string, j *Bindings) (f *Flow, ok bool) {
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
	var tried binding
	for i := range j.kept {
		b := &j.kept[i].binding
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
		f = &Flow{seed: seed, secrets: k, back: true}
		if !f.decode(string(plain)) {
			return nil, false
		}
		limit := j.retired(b)
		f.home, f.retired = j.startedIn(b, a.sessionTag(b, f.session)), limit != math.MaxInt64
		return f, f.started < limit
	}
	return nil, false
}
