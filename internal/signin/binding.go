package signin

import (
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
)

// A binding ties a sign-in to the browser that started it. The cookie names the binding, and has a code that
// only we can make: a binding that was made up elsewhere does not count, and the time in it is ours. The
// binding's secret is not in the cookie. It is derived from the binding under our key.
//
// Each sign-in, sign-out, RenewToken and raised level adds a binding to the cookie, as an event. An event
// retires the bindings before it: they open the flows that started before the event, and no later ones. So a
// flow that is started elsewhere, with a stolen binding from before, does not open in this browser.
type binding struct {
	ring  byte // id of the ring key
	id    [6]byte
	stamp int64 // when it was made, see [env.Env.Stamp]
	event bool
}

const (
	bindingLife   = 2 * time.Hour // of the cookie, renewed by each start; longer than a flow
	maxBindings   = 64            // known to a callback, besides events
	maxEvents     = 32            // known to a callback
	maxShown      = 128           // cookies that are read, the last ones: it bounds the work for a hostile header
	maxKept       = 4             // cookies that a start does not merge
	maxUnreadable = 3             // cookies that cannot be read and are not cleared
	maxCleared    = 9             // cookies that one answer clears
	maxKnown      = 256           // bindings, each counted once for every cookie that has it

	bindingSize    = 14
	markSize       = 18
	sessionTagSize = 4
)

// pack returns b as it is in a cookie.
func (b *binding) pack() string {
	var e [bindingSize]byte
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

// unpackBinding reads what [binding.pack] has written, of entrySize bytes.
func unpackBinding(e string) binding {
	b := binding{ring: e[0], event: e[7]&0x80 != 0}
	copy(b.id[:], e[1:])
	b.stamp = int64(e[7] & 0x7f)
	for i := 8; i < bindingSize; i++ {
		b.stamp = b.stamp<<8 | int64(e[i])
	}
	return b
}

// bindingSecret returns the secret that binds a state to b; "" if the key of b is gone.
func (a *SignIns) bindingSecret(b *binding) string {
	k := a.env.Key(b.ring)
	if k == nil {
		return ""
	}
	m := k.Binding.Derive("secret", a.app.Cookies.Binding, b.pack())
	return string(m[:])
}

// sessionTag returns the tag by which b knows the session in which a flow started; zero if there is none.
func (a *SignIns) sessionTag(b *binding, sid string) (tag [sessionTagSize]byte) {
	k := a.env.Key(b.ring)
	if k == nil || sid == "" {
		return tag
	}
	m := k.Binding.Derive("home", sid)
	copy(tag[:], m[:])
	return tag
}

// An entry is a binding as a cookie has it.
type entry struct {
	binding
	sessionTag [sessionTagSize]byte // of the session in which its latest flow started
}

// A bindingCookie is a cookie that we have made. New flows take its first binding.
type bindingCookie struct {
	name  string
	kept  []entry // newest first, never empty
	last  int64   // when the latest flow started; 0: none has
	gates []gate
}

// bindingMark returns the code that proves that the cookie is ours.
func (a *SignIns) bindingMark(k *keys.Secrets, name, first, rest string) []byte {
	m := k.Binding.Derive("cookie", name, first, rest)
	return m[:markSize]
}

// bindingValue returns the value of c; ok is false if the key of its first binding is gone.
func (a *SignIns) bindingValue(c *bindingCookie) (v string, ok bool) {
	k := a.env.Key(c.kept[0].ring)
	if k == nil {
		return "", false
	}
	first := c.kept[0].pack()
	rest := packed.AppendUint(nil, uint64(max(0, c.last-c.kept[0].stamp)))
	rest = packed.AppendString(rest, string(c.kept[0].sessionTag[:]))
	older := make([]byte, 0, len(c.kept)*(bindingSize+sessionTagSize))
	for i := range c.kept[1:] {
		o := &c.kept[1+i]
		older = append(append(older, o.pack()...), o.sessionTag[:]...)
	}
	rest = packed.AppendString(rest, string(older))
	v = keys.Text(append(a.bindingMark(k, c.name, first, string(rest)), first...)) + "." + keys.Text(rest)
	for _, g := range c.gates {
		v += "." + g.String()
	}
	return v, true
}

// newBinding returns a cookie with the first binding of a browser.
func (a *SignIns) newBinding(now time.Time) (bindingCookie, error) {
	var random [32]byte
	if err := a.env.Fill(random[:]); err != nil {
		return bindingCookie{}, err
	}
	b := binding{ring: a.env.Ring[0].ID, stamp: a.env.Stamp(now, 0)}
	id := a.env.Ring[0].Binding.Derive("id", string(random[:]))
	copy(b.id[:], id[:])
	return bindingCookie{name: a.bindingName(&b, nil), kept: []entry{{binding: b}}}, nil
}

// bindingName returns the name of a cookie that begins with b and replaces others. Cookies of different
// content have different names, but for what a start changes in one: so a response never replaces a cookie
// that its request did not show.
func (a *SignIns) bindingName(b *binding, replaced []string) string {
	m := a.env.Ring[0].Binding.Derive(append([]string{"name", b.pack()}, replaced...)...)
	return a.app.Cookies.Binding + keys.Text(m[:6])
}
