package signin

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
	Cookies []bindingCookie // newest first
	strange []string        // names like ours, of what we cannot read
	Kept    []kept          // of all cookies, newest first, without those that open nothing any more
	over    []Binding       // those of them that a browser has forgotten: they open what has started before since
	since   int64
}

// Bindings returns the jar of r.
func (a *SignIns) Bindings(r *http.Request) *jar {
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
			j.Cookies = append(j.Cookies, c)
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
	j.Cookies = slices.DeleteFunc(j.Cookies, func(c bindingCookie) bool { return seen[c.name] > 1 })
	slices.SortStableFunc(j.Cookies, func(x, y bindingCookie) int { return cmp.Compare(y.kept[0].stamp, x.kept[0].stamp) })
	for i := range j.Cookies {
		j.Kept = append(j.Kept, j.Cookies[i].kept...)
	}
	j.Kept = live(j.Kept, now)
	for _, k := range old {
		if !slices.ContainsFunc(j.Kept, func(o kept) bool { return o.Binding == k.Binding }) {
			j.over = append(j.over, k.Binding)
		}
	}
	if len(old) > 0 {
		j.Kept = live(append(j.Kept, old...), now)
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
		if slices.ContainsFunc(out, func(o kept) bool { return o.Binding == k.Binding }) {
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
func (j *jar) retired(b *Binding) int64 {
	limit := int64(math.MaxInt64)
	if slices.Contains(j.over, *b) {
		limit = j.since
	}
	for i := range j.Kept {
		if k := &j.Kept[i]; k.event && k.stamp > b.stamp {
			limit = min(limit, k.stamp)
		}
	}
	return limit
}

// home reports that the browser has started a flow with b in the session of that home.
func (j *jar) home(b *Binding, home [homeSize]byte) bool {
	return home != [homeSize]byte{} && slices.Contains(j.Kept, kept{*b, home})
}

// latest returns a time that is not before anything that the browser shows.
func (j *jar) latest() (at int64) {
	for i := range j.Cookies {
		at = max(at, j.Cookies[i].kept[0].stamp, j.Cookies[i].last)
	}
	return at
}

func (j *jar) Gates() (gs []gate) {
	for i := range j.Cookies {
		gs = append(gs, j.Cookies[i].gates...)
	}
	return merged(gs)
}

// parseBinding reads mark‖binding.rest[.gate]… A part of another form is a later version's.
func (a *SignIns) parseBinding(name, value string) (c bindingCookie, ok bool) {
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
	c = bindingCookie{name: name, kept: []kept{{Binding: first}}, gates: parseGates(notes)}
	copy(c.kept[0].home[:], home)
	if since > 0 {
		c.last = first.stamp + int64(since)
	}
	for ; len(older) >= entrySize+homeSize; older = older[entrySize+homeSize:] {
		k := kept{Binding: unpackBinding(older)}
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
func (a *SignIns) merge(j *jar, event *Binding) rebinding {
	if len(j.Cookies) == 0 {
		return rebinding{}
	}
	c := bindingCookie{last: j.Cookies[0].last, gates: j.Gates()}
	if event != nil {
		c.kept, c.last = append(c.kept, kept{Binding: *event}), 0
	}
	var gone []string
	absorb := func(o *bindingCookie) {
		gone = append(gone, o.name)
		c.kept = append(c.kept, o.kept...)
	}
	absorb(&j.Cookies[0]) // the newest, and the oldest of the others
	for i := len(j.Cookies) - 1; i > 0 && len(gone) < maxCleared; i-- {
		absorb(&j.Cookies[i])
	}
	c.kept = slices.DeleteFunc(live(c.kept, a.env.Clock()), func(k kept) bool { return !slices.Contains(j.Kept, k) && (event == nil || k.Binding != *event) })
	c.kept = thin(c.kept, a.env.Clock())
	first := c.kept[0].Binding
	c.name = a.bindingName(&first, gone)
	return rebinding{set: &c, clear: a.sweep(j, gone)}
}

// sweep adds to names those of cookies that nobody can read, if there are many.
func (a *SignIns) sweep(j *jar, names []string) []string {
	for i := 0; i < len(j.strange)-maxStrange && len(names) < maxCleared; i++ {
		names = append(names, j.strange[i])
	}
	return names
}

// bind returns the change for a flow that starts now in the session sid; the first binding of the cookie
// is the flow's. gate is the path of a gate that starts it by itself.
func (a *SignIns) bind(j *jar, sid, gate string, now time.Time) (rebinding, error) {
	var r rebinding
	switch {
	case len(j.Cookies) == 0:
		c, err := a.mint(now)
		if err != nil {
			return r, err
		}
		r.set, r.clear = &c, a.sweep(j, nil)
	case len(j.Cookies) > maxKept:
		r = a.merge(j, nil)
	default:
		c := j.Cookies[0]
		c.kept = slices.DeleteFunc(slices.Clone(c.kept), func(k kept) bool { return !slices.Contains(j.Kept, k) })
		c.gates = j.Gates()
		r.set, r.clear = &c, a.sweep(j, nil)
	}
	c := r.set
	c.last = a.env.Stamp(now, max(c.kept[0].stamp, c.last))
	c.kept[0].home = a.homeOf(&c.kept[0].Binding, sid)
	if gate != "" {
		c.gates = noted(c.gates, gate, now)
	}
	return r, nil
}

// retire returns the change that an event makes, of that time: what was known of the bindings then is
// worth nothing from now on. A browser that shows none has nothing to retire. Two answers about one
// event make one and the same cookie.
func (a *SignIns) retire(j *jar, at int64, now time.Time) rebinding {
	if len(j.Cookies) == 0 {
		return rebinding{}
	}
	e := Binding{ring: a.env.Ring[0].ID, stamp: max(at, j.latest()+1), event: true}
	if e.stamp > at {
		a.env.Stamp(now, e.stamp-1) // what comes next in this process is later
	}
	m := a.env.Ring[0].Binding.Derive("event", e.Pack(), j.Cookies[0].kept[0].Pack())
	copy(e.id[:], m[:])
	return a.merge(j, &e)
}

// SetBindings adds the cookies of r to h.
func (a *SignIns) SetBindings(h http.Header, r rebinding) {
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

// Rebind adds to h the cookies of a sign-in that is done: of its session, and the bindings that follow
// from it.
func (a *SignIns) Rebind(h http.Header, r *http.Request, out *Outcome, red *Redemption) {
	var c rebinding
	switch j := a.Bindings(r); {
	case out != nil && out.secret != "":
		a.app.Cookies.SetSession(h, out.session, out.secret, out.deadline, a.app.Cookies.Persist || out.persist)
		c = a.retire(j, red.stamp, a.env.Clock())
	case len(j.Cookies) > 1 || out != nil && out.unmet:
		c = a.merge(j, nil)
	}
	if out != nil && out.unmet && c.set != nil {
		// The gate asks again when the person does, however long they took to say no.
		if to, err := url.Parse(red.Landing); err == nil {
			c.set.gates = barred(c.set.gates, GatePath(to.Path), a.env.Clock())
		}
	}
	a.SetBindings(h, c)
}
