package signin

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
)

// A Binding ties a sign-in to the browser that started it. Its secret is not in the cookie but follows
// from the binding, under our key; the cookie names the binding and has a code that only we can make. So
// a binding that somebody has made up is none, and the time that is in it is ours.
//
// Each sign-in, sign-out, RenewToken and raised level adds a binding to the cookie, as an event. It
// retires those before it: they open a flow that started before the event, and no other. So a person who
// knows a binding from before, and starts a flow with it elsewhere, gets nothing when this browser ends
// that flow.
type Binding struct {
	ring  byte // id of the ring key
	id    [6]byte
	stamp int64 // when it was made, see [Auth.stamp]
	event bool
}

const (
	bindingLife = 2 * time.Hour // of the cookie, renewed by each start; longer than a flow
	maxBindings = 64            // that a callback knows, besides those of events
	maxEvents   = 32
	maxShown    = 128 // cookies that are read, the last ones: what a hostile header can make us do
	maxKept     = 4   // cookies that a start leaves as they are
	maxStrange  = 3   // cookies that we cannot read and leave as they are
	maxCleared  = 9   // cookies in one answer
	maxKnown    = 256 // bindings, with what several cookies say of one

	entrySize = 14
	markSize  = 18
	homeSize  = 4

	// A binding that a newer one has followed for so long has no flow under way, nor one to load again.
	bindingRest = FlowLife + RedemptionRest + 10*time.Minute
)

func (b *Binding) Pack() string {
	var e [entrySize]byte
	e[0] = b.ring
	copy(e[1:], b.id[:])
	for i := range 7 {
		e[7+i] = byte(b.stamp >> (8 * (6 - i)))
	}
	if b.event {
		e[7] |= 0x80
	}
	return string(e[:])
}

func unpackBinding(e string) Binding {
	b := Binding{ring: e[0], event: e[7]&0x80 != 0}
	copy(b.id[:], e[1:])
	b.stamp = int64(e[7] & 0x7f)
	for i := 8; i < entrySize; i++ {
		b.stamp = b.stamp<<8 | int64(e[i])
	}
	return b
}

// bindingSecret returns what states are sealed with for b; "" if its key is gone.
func (a *SignIns) bindingSecret(b *Binding) string {
	k := a.env.Key(b.ring)
	if k == nil {
		return ""
	}
	m := k.Binding.Derive("secret", a.app.Cookies.Binding, b.Pack())
	return string(m[:])
}

// homeOf returns by what a binding knows the session in which a flow started.
func (a *SignIns) homeOf(b *Binding, sid string) (home [homeSize]byte) {
	k := a.env.Key(b.ring)
	if k == nil || sid == "" {
		return home
	}
	m := k.Binding.Derive("home", sid)
	copy(home[:], m[:])
	return home
}

// A kept is a binding as a cookie has it.
type kept struct {
	Binding
	home [homeSize]byte // the session in which its latest flow started
}

// A bindingCookie is one that we have made. Its first binding is the one that new flows take.
type bindingCookie struct {
	name  string
	kept  []kept // newest first; never empty
	last  int64  // when the latest flow started; 0: none did
	gates []gate
}

// bindingMark returns the code that proves that we have made a cookie.
func (a *SignIns) bindingMark(k *keys.Secrets, name, first, rest string) []byte {
	m := k.Binding.Derive("cookie", name, first, rest)
	return m[:markSize]
}

// value returns the cookie's value; ok is false if the key of its first binding is gone.
func (a *SignIns) bindingValue(c *bindingCookie) (v string, ok bool) {
	k := a.env.Key(c.kept[0].ring)
	if k == nil {
		return "", false
	}
	first := c.kept[0].Pack()
	rest := packed.AppendUint(nil, uint64(max(0, c.last-c.kept[0].stamp)))
	rest = packed.AppendString(rest, string(c.kept[0].home[:]))
	older := make([]byte, 0, len(c.kept)*(entrySize+homeSize))
	for i := range c.kept[1:] {
		o := &c.kept[1+i]
		older = append(append(older, o.Pack()...), o.home[:]...)
	}
	rest = packed.AppendString(rest, string(older))
	v = keys.Text(append(a.bindingMark(k, c.name, first, string(rest)), first...)) + "." + keys.Text(rest)
	for _, g := range c.gates {
		v += "." + g.String()
	}
	return v, true
}

// mint returns the first binding of a browser.
func (a *SignIns) mint(now time.Time) (bindingCookie, error) {
	var random [32]byte
	if err := a.env.Fill(random[:]); err != nil {
		return bindingCookie{}, err
	}
	b := Binding{ring: a.env.Ring[0].ID, stamp: a.env.Stamp(now, 0)}
	id := a.env.Ring[0].Binding.Derive("id", string(random[:]))
	copy(b.id[:], id[:])
	return bindingCookie{name: a.bindingName(&b, nil), kept: []kept{{Binding: b}}}, nil
}

// bindingName returns the name of a cookie that begins with b and takes the place of others. No two cookies
// of different content have one name, but for what a start changes in one: a response never replaces one
// that it did not see.
func (a *SignIns) bindingName(b *Binding, replaced []string) string {
	m := a.env.Ring[0].Binding.Derive(append([]string{"name", b.Pack()}, replaced...)...)
	return a.app.Cookies.Binding + keys.Text(m[:6])
}
