package middleware

import (
	"cmp"
	"crypto/hmac"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/web"
)

// A jar is what a browser shows of its bindings.
type jar struct {
	cookies []bindingCookie // newest first
	strange []string        // names like ours, of what we cannot read
	kept    []kept          // of all cookies, newest first, without those that open nothing any more
	over    []binding       // those of them that a browser has forgotten: they open what has started before since
	since   int64
}

// bindings returns the jar of r.
func (a *Auth) bindings(r *http.Request) *jar {
	now := a.env.Clock()
	j := &jar{since: now.Add(-bindingLife).UnixMicro()}
	ours := func(name string) bool {
		return strings.HasPrefix(name, a.app.Cookies.Binding) && keys.Token(name[len(a.app.Cookies.Binding):], 8)
	}
	n, old := 0, []kept(nil)
	web.Each(r, func(name, _ string) bool {
		if ours(name) {
			n++
		}
		return true
	})
	seen := map[string]int{}
	web.Each(r, func(name, value string) bool {
		if !ours(name) {
			return true
		}
		if n--; n >= maxShown {
			return true // browsers show first what they have had for longest: an event is not hidden by what was planted before it
		}
		seen[name]++
		c, ok := a.parseBinding(name, value)
		if ok && max(c.kept[0].stamp, c.last) >= j.since {
			j.cookies = append(j.cookies, c)
			return true
		}
		if ok { // what has retired it may be forgotten, too
			old = append(old, c.kept...)
		}
		if seen[name] == 1 {
			j.strange = append(j.strange, name)
		}
		return true
	})
	// Of two with one name, somebody else has planted one.
	j.cookies = slices.DeleteFunc(j.cookies, func(c bindingCookie) bool { return seen[c.name] > 1 })
	slices.SortStableFunc(j.cookies, func(x, y bindingCookie) int { return cmp.Compare(y.kept[0].stamp, x.kept[0].stamp) })
	for i := range j.cookies {
		j.kept = append(j.kept, j.cookies[i].kept...)
	}
	j.kept = live(j.kept, now)
	for _, k := range old {
		if !slices.ContainsFunc(j.kept, func(o kept) bool { return o.binding == k.binding }) {
			j.over = append(j.over, k.binding)
		}
	}
	if len(old) > 0 {
		j.kept = live(append(j.kept, old...), now)
	}
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
	if slices.Contains(j.over, *b) {
		limit = j.since
	}
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
	if !ok || !keys.Token(head, 43) {
		return c, false
	}
	rest, notes, _ := strings.Cut(tail, ".")
	b, r := keys.Raw(head), keys.Raw(rest)
	if len(b) != markSize+entrySize || len(r) == 0 {
		return c, false
	}
	first := unpackBinding(string(b[markSize:]))
	k := a.env.Key(first.ring)
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
	c.kept = slices.DeleteFunc(live(c.kept, a.env.Clock()), func(k kept) bool { return !slices.Contains(j.kept, k) && (event == nil || k.binding != *event) })
	c.kept = thin(c.kept, a.env.Clock())
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
	c.last = a.env.Stamp(now, max(c.kept[0].stamp, c.last))
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
	e := binding{ring: a.env.Ring[0].ID, stamp: max(at, j.latest()+1), event: true}
	if e.stamp > at {
		a.env.Stamp(now, e.stamp-1) // what comes next in this process is later
	}
	m := a.env.Ring[0].Binding.Derive("event", e.pack(), j.cookies[0].kept[0].pack())
	copy(e.id[:], m[:])
	return a.merge(j, &e)
}

// setBindings adds the cookies of r to h.
func (a *Auth) setBindings(h http.Header, r rebinding) {
	c := &a.app.Cookies
	if r.set != nil {
		value, ok := a.bindingValue(r.set)
		if !ok {
			return
		}
		c.Set(h, &http.Cookie{
			Name: r.set.name, Value: value, Path: "/", MaxAge: int(bindingLife.Seconds()),
			HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
		})
	}
	for _, name := range r.clear {
		if r.set == nil || name != r.set.name {
			c.Clear(h, name, http.SameSiteLaxMode)
		}
	}
}

// rebind adds to h the cookies of a sign-in that is done: of its session, and the bindings that follow
// from it.
func (a *Auth) rebind(h http.Header, q *request, out *outcome, red *redemption) {
	var r rebinding
	switch j := a.bindings(q.r); {
	case out != nil && out.secret != "":
		a.app.Cookies.SetSession(h, out.session, out.secret, out.deadline, a.app.Cookies.Persist || out.persist)
		r = a.retire(j, red.stamp, a.env.Clock())
	case len(j.cookies) > 1 || out != nil && out.unmet:
		r = a.merge(j, nil)
	}
	if out != nil && out.unmet && r.set != nil {
		// The gate asks again when the person does, however long they took to say no.
		if to, err := url.Parse(red.landing); err == nil {
			r.set.gates = barred(r.set.gates, gatePath(to.Path), a.env.Clock())
		}
	}
	a.setBindings(h, r)
}
