package middleware

import (
	"cmp"
	"crypto/hmac"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// A binding ties a sign-in to the browser that started it. Its secret is not in the cookie but follows
// from the binding, under our key; the cookie names the binding and has a code that only we can make. So
// a binding that somebody has made up is none, and the time that is in it is ours.
//
// Each sign-in, sign-out, RenewToken and raised level adds a binding to the cookie, as an event. It
// retires those before it: they open a flow that started before the event, and no other. So a person who
// knows a binding from before, and starts a flow with it elsewhere, gets nothing when this browser ends
// that flow.
type binding struct {
	ring  byte // id of the ring key
	id    [6]byte
	stamp int64 // when it was made, see [Auth.stamp]
	event bool
}

const (
	bindingLife = 2 * time.Hour // of the cookie, renewed by each start; longer than a flow
	maxBindings = 64            // that a callback knows, besides those of events
	maxEvents   = 32
	maxShown    = 128 // cookies that are read: what a hostile header can make us do
	maxKept     = 4   // cookies that a start leaves as they are
	maxStrange  = 3   // cookies that we cannot read and leave as they are
	maxCleared  = 9   // cookies in one answer
	maxKnown    = 256 // bindings, with what several cookies say of one

	entrySize = 14
	markSize  = 18
	homeSize  = 4

	// A binding that a newer one has followed for so long has no flow under way, nor one to load again.
	bindingRest = flowLife + redemptionRest + 10*time.Minute
)

func (b *binding) pack() string {
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

func unpackBinding(e string) binding {
	b := binding{ring: e[0], event: e[7]&0x80 != 0}
	copy(b.id[:], e[1:])
	b.stamp = int64(e[7] & 0x7f)
	for i := 8; i < entrySize; i++ {
		b.stamp = b.stamp<<8 | int64(e[i])
	}
	return b
}

// bindingSecret returns what states are sealed with for b; "" if its key is gone.
func (a *Auth) bindingSecret(b *binding) string {
	k := a.ringKey(b.ring)
	if k == nil {
		return ""
	}
	m := k.binding.Derive("secret", a.cookies.binding, b.pack())
	return string(m[:])
}

// homeOf returns by what a binding knows the session in which a flow started.
func (a *Auth) homeOf(b *binding, sid string) (home [homeSize]byte) {
	k := a.ringKey(b.ring)
	if k == nil || sid == "" {
		return home
	}
	m := k.binding.Derive("home", sid)
	copy(home[:], m[:])
	return home
}

func (a *Auth) ringKey(id byte) *secrets {
	for i := range a.secrets {
		if a.secrets[i].id == id {
			return &a.secrets[i]
		}
	}
	return nil
}

// A kept is a binding as a cookie has it.
type kept struct {
	binding
	home [homeSize]byte // the session in which its latest flow started
}

// A bindingCookie is one that we have made. Its first binding is the one that new flows take.
type bindingCookie struct {
	name  string
	kept  []kept // newest first; never empty
	last  int64  // when the latest flow started; 0: none did
	gates []gate
}

// A jar is what a browser shows of its bindings.
type jar struct {
	cookies []bindingCookie // newest first
	strange []string        // names like ours, of what we cannot read
	kept    []kept          // of all cookies, newest first, without those that open nothing any more
}

// bindings returns the jar of r.
func (a *Auth) bindings(r *http.Request) *jar {
	j, n := &jar{}, 0
	seen := map[string]int{}
	each(r, func(name, value string) bool {
		if !strings.HasPrefix(name, a.cookies.binding) || !token(name[len(a.cookies.binding):], 8) {
			return true
		}
		n++
		seen[name]++
		if c, ok := a.parseBinding(name, value); ok {
			j.cookies = append(j.cookies, c)
		} else if seen[name] == 1 {
			j.strange = append(j.strange, name)
		}
		return n < maxShown
	})
	// Of two with one name, somebody else has planted one.
	j.cookies = slices.DeleteFunc(j.cookies, func(c bindingCookie) bool { return seen[c.name] > 1 })
	slices.SortStableFunc(j.cookies, func(x, y bindingCookie) int { return cmp.Compare(y.kept[0].stamp, x.kept[0].stamp) })
	for i := range j.cookies {
		j.kept = append(j.kept, j.cookies[i].kept...)
	}
	j.kept = live(j.kept, a.now())
	return j
}

// live returns those of ks that may open a flow, newest first: of each kind, so many as a browser may have.
func live(ks []kept, now time.Time) []kept {
	slices.SortStableFunc(ks, func(x, y kept) int { return cmp.Compare(y.stamp, x.stamp) })
	over := now.Add(-bindingRest).UnixMicro()
	plain, events, followed := 0, 0, int64(math.MaxInt64)
	var out []kept
	for _, k := range ks {
		if len(out) == maxKnown || slices.Contains(out, k) {
			continue
		}
		if slices.ContainsFunc(out, func(o kept) bool { return o.binding == k.binding }) {
			out = append(out, k) // of two cookies, with different homes
			continue
		}
		if followed < over {
			break
		}
		followed = k.stamp
		if k.event {
			if events++; events > maxEvents {
				break // without it, what is older would count for longer
			}
		} else if plain++; plain > maxBindings {
			continue
		}
		out = append(out, k)
	}
	return out
}

// thin drops events between two events with which no flow has started: the older one retires the same.
func thin(ks []kept, now time.Time) []kept {
	settled := now.Add(-time.Minute).UnixMicro() // a start that is under way may not have been seen
	out := ks[:0:0]
	for i, k := range ks {
		between := i > 0 && i+1 < len(ks) && k.event && ks[i-1].event && ks[i+1].event
		if between && k.home == [homeSize]byte{} && (ks[i-1].stamp < settled || len(ks) > maxEvents/2) {
			continue
		}
		out = append(out, k)
	}
	return out
}

// retired returns when b was retired: it opens what has started before.
func (j *jar) retired(b *binding) int64 {
	limit := int64(math.MaxInt64)
	for i := range j.kept {
		if k := &j.kept[i]; k.event && k.stamp > b.stamp {
			limit = min(limit, k.stamp)
		}
	}
	return limit
}

// home reports that the browser has started a flow with b in the session of that home.
func (j *jar) home(b *binding, home [homeSize]byte) bool {
	return home != [homeSize]byte{} && slices.Contains(j.kept, kept{*b, home})
}

// latest returns a time that is not before anything that the browser shows.
func (j *jar) latest() (at int64) {
	for i := range j.cookies {
		at = max(at, j.cookies[i].kept[0].stamp, j.cookies[i].last)
	}
	return at
}

func (j *jar) gates() (gs []gate) {
	for i := range j.cookies {
		gs = append(gs, j.cookies[i].gates...)
	}
	return merged(gs)
}

// parseBinding reads mark‖binding.rest[.gate]… A part of another form is a later version's.
func (a *Auth) parseBinding(name, value string) (c bindingCookie, ok bool) {
	head, tail, ok := strings.Cut(value, ".")
	if !ok || !token(head, 43) {
		return c, false
	}
	rest, notes, _ := strings.Cut(tail, ".")
	b, r := raw(head), raw(rest)
	if len(b) != markSize+entrySize || len(r) == 0 {
		return c, false
	}
	first := unpackBinding(string(b[markSize:]))
	k := a.ringKey(first.ring)
	if k == nil || !hmac.Equal(b[:markSize], a.bindingMark(k, name, string(b[markSize:]), string(r))) {
		return c, false
	}
	p := packed.Read(string(r))
	since, home, older := p.Uint(), p.String(), p.String()
	if p.Err() != nil {
		return c, false
	}
	c = bindingCookie{name: name, kept: []kept{{binding: first}}, gates: parseGates(notes)}
	copy(c.kept[0].home[:], home)
	if since > 0 {
		c.last = first.stamp + int64(since)
	}
	for ; len(older) >= entrySize+homeSize; older = older[entrySize+homeSize:] {
		k := kept{binding: unpackBinding(older)}
		copy(k.home[:], older[entrySize:])
		c.kept = append(c.kept, k)
	}
	return c, true
}

// bindingMark returns the code that proves that we have made a cookie.
func (a *Auth) bindingMark(k *secrets, name, first, rest string) []byte {
	m := k.binding.Derive("cookie", name, first, rest)
	return m[:markSize]
}

// value returns the cookie's value; ok is false if the key of its first binding is gone.
func (a *Auth) bindingValue(c *bindingCookie) (v string, ok bool) {
	k := a.ringKey(c.kept[0].ring)
	if k == nil {
		return "", false
	}
	first := c.kept[0].pack()
	rest := packed.AppendUint(nil, uint64(max(0, c.last-c.kept[0].stamp)))
	rest = packed.AppendString(rest, string(c.kept[0].home[:]))
	older := make([]byte, 0, len(c.kept)*(entrySize+homeSize))
	for i := range c.kept[1:] {
		o := &c.kept[1+i]
		older = append(append(older, o.pack()...), o.home[:]...)
	}
	rest = packed.AppendString(rest, string(older))
	v = text(append(a.bindingMark(k, c.name, first, string(rest)), first...)) + "." + text(rest)
	for _, g := range c.gates {
		v += "." + g.String()
	}
	return v, true
}

// stamp returns the time in microseconds, later than floor and than every one that it has returned: what
// follows one another has an order, also where the clock stands still for a moment or is behind that of
// another process.
func (a *Auth) stamp(now time.Time, floor int64) int64 {
	t := max(now.UnixMicro(), floor+1)
	for {
		last := a.stamped.Load()
		next := t
		if last >= t && last-t < time.Minute.Microseconds() { // a clock that was put back is not followed for ever
			next = last + 1
		}
		if a.stamped.CompareAndSwap(last, next) {
			return next
		}
	}
}

// mint returns the first binding of a browser.
func (a *Auth) mint(now time.Time) (bindingCookie, error) {
	var random [32]byte
	if err := a.fill(random[:]); err != nil {
		return bindingCookie{}, err
	}
	b := binding{ring: a.secrets[0].id, stamp: a.stamp(now, 0)}
	id := a.secrets[0].binding.Derive("id", string(random[:]))
	copy(b.id[:], id[:])
	return bindingCookie{name: a.bindingName(&b, nil), kept: []kept{{binding: b}}}, nil
}

// bindingName returns the name of a cookie that begins with b and takes the place of others. No two cookies
// of different content have one name, but for what a start changes in one: a response never replaces one
// that it did not see.
func (a *Auth) bindingName(b *binding, replaced []string) string {
	m := a.secrets[0].binding.Derive(append([]string{"name", b.pack()}, replaced...)...)
	return a.cookies.binding + text(m[:6])
}

// A change of bindings is what an answer does to them.
type rebinding struct {
	set   *bindingCookie // nil: none
	clear []string
}

// merge returns the change by which one cookie takes the place of several, with everything that is in
// them. Of many, a few at a time. With an event that comes first in it.
func (a *Auth) merge(j *jar, event *binding) rebinding {
	if len(j.cookies) == 0 {
		return rebinding{}
	}
	c := bindingCookie{last: j.cookies[0].last, gates: j.gates()}
	if event != nil {
		c.kept, c.last = append(c.kept, kept{binding: *event}), 0
	}
	var gone []string
	absorb := func(o *bindingCookie) {
		gone = append(gone, o.name)
		c.kept = append(c.kept, o.kept...)
	}
	absorb(&j.cookies[0]) // the newest, and the oldest of the others
	for i := len(j.cookies) - 1; i > 0 && len(gone) < maxCleared; i-- {
		absorb(&j.cookies[i])
	}
	c.kept = slices.DeleteFunc(live(c.kept, a.now()), func(k kept) bool { return !slices.Contains(j.kept, k) && (event == nil || k.binding != *event) })
	c.kept = thin(c.kept, a.now())
	first := c.kept[0].binding
	c.name = a.bindingName(&first, gone)
	return rebinding{set: &c, clear: a.sweep(j, gone)}
}

// sweep adds to names those of cookies that nobody can read, if there are many.
func (a *Auth) sweep(j *jar, names []string) []string {
	for i := 0; i < len(j.strange)-maxStrange && len(names) < maxCleared; i++ {
		names = append(names, j.strange[i])
	}
	return names
}

// bind returns the change for a flow that starts now in the session sid; the first binding of the cookie
// is the flow's. gate is the path of a gate that starts it by itself.
func (a *Auth) bind(j *jar, sid, gate string, now time.Time) (rebinding, error) {
	var r rebinding
	switch {
	case len(j.cookies) == 0:
		c, err := a.mint(now)
		if err != nil {
			return r, err
		}
		r.set, r.clear = &c, a.sweep(j, nil)
	case len(j.cookies) > maxKept:
		r = a.merge(j, nil)
	default:
		c := j.cookies[0]
		c.kept = slices.DeleteFunc(slices.Clone(c.kept), func(k kept) bool { return !slices.Contains(j.kept, k) })
		c.gates = j.gates()
		r.set, r.clear = &c, a.sweep(j, nil)
	}
	c := r.set
	c.last = a.stamp(now, max(c.kept[0].stamp, c.last))
	c.kept[0].home = a.homeOf(&c.kept[0].binding, sid)
	if gate != "" {
		c.gates = noted(c.gates, gate, now)
	}
	return r, nil
}

// retire returns the change that an event makes, of that time: what was known of the bindings then is
// worth nothing from now on. A browser that shows none has nothing to retire. Two answers about one
// event make one and the same cookie.
func (a *Auth) retire(j *jar, at int64, now time.Time) rebinding {
	if len(j.cookies) == 0 {
		return rebinding{}
	}
	e := binding{ring: a.secrets[0].id, stamp: max(at, j.latest()+1), event: true}
	if e.stamp > at {
		a.stamp(now, e.stamp-1) // what comes next in this process is later
	}
	m := a.secrets[0].binding.Derive("event", e.pack(), j.cookies[0].kept[0].pack())
	copy(e.id[:], m[:])
	return a.merge(j, &e)
}

// setBindings adds the cookies of r to h.
func (a *Auth) setBindings(h http.Header, r rebinding) {
	c := &a.cookies
	if r.set != nil {
		value, ok := a.bindingValue(r.set)
		if !ok {
			return
		}
		c.set(h, &http.Cookie{
			Name: r.set.name, Value: value, Path: "/", MaxAge: int(bindingLife.Seconds()),
			HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
		})
	}
	for _, name := range r.clear {
		if r.set == nil || name != r.set.name {
			c.clear(h, name, http.SameSiteLaxMode)
		}
	}
}
