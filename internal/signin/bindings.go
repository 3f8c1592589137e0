package signin

import (
	"cmp"
	"crypto/hmac"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/web"
)

// Bindings are what a browser shows of its bindings.
type Bindings struct {
	Cookies    []bindingCookie // newest first
	unreadable []string        // names of cookies that are named like ours and cannot be read
	kept       []entry         // of all cookies, newest first, without those that can open nothing
	forgotten  []binding       // of cookies that are past their time: they open what started before since
	since      int64
}

// Bindings returns what r shows of its bindings.
func (a *SignIns) Bindings(r *http.Request) *Bindings {
	now := a.env.Clock()
	j := &Bindings{since: now.Add(-bindingLife).UnixMicro()}
	ours := func(name string) bool {
		return strings.HasPrefix(name, a.app.Cookies.Binding) && keys.Token(name[len(a.app.Cookies.Binding):], 8)
	}
	n, old := 0, []entry(nil)
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
			return true // browsers show their oldest cookies first: cookies that were planted before an event do not hide it
		}
		seen[name]++
		c, ok := a.parseBinding(name, value)
		if ok && max(c.kept[0].stamp, c.last) >= j.since {
			j.Cookies = append(j.Cookies, c)
			return true
		}
		if ok { // the event that retired it may be past its time, too
			old = append(old, c.kept...)
		}
		if seen[name] == 1 {
			j.unreadable = append(j.unreadable, name)
		}
		return true
	})
	// Of two cookies with one name, one was planted by somebody else.
	j.Cookies = slices.DeleteFunc(j.Cookies, func(c bindingCookie) bool { return seen[c.name] > 1 })
	slices.SortStableFunc(j.Cookies, func(x, y bindingCookie) int { return cmp.Compare(y.kept[0].stamp, x.kept[0].stamp) })
	for i := range j.Cookies {
		j.kept = append(j.kept, j.Cookies[i].kept...)
	}
	j.kept = live(j.kept, now)
	for _, k := range old {
		if !slices.ContainsFunc(j.kept, func(o entry) bool { return o.binding == k.binding }) {
			j.forgotten = append(j.forgotten, k.binding)
		}
	}
	if len(old) > 0 {
		j.kept = live(append(j.kept, old...), now)
	}
	return j
}

// bindingRest is how long after a newer binding a binding may still be needed: for a flow under way, or for a
// reload of its callback.
const bindingRest = flowLife + redemptionRest + 10*time.Minute

// live returns those of ks that may open a flow, newest first, and of each kind no more than a browser may have.
func live(ks []entry, now time.Time) []entry {
	slices.SortStableFunc(ks, func(x, y entry) int { return cmp.Compare(y.stamp, x.stamp) })
	over := now.Add(-bindingRest).UnixMicro()
	plain, events, followed := 0, 0, int64(math.MaxInt64)
	var out []entry
	for _, k := range ks {
		if len(out) == maxKnown || slices.Contains(out, k) {
			continue
		}
		if slices.ContainsFunc(out, func(o entry) bool { return o.binding == k.binding }) {
			out = append(out, k) // two cookies have it, with different sessions
			continue
		}
		if followed < over {
			break
		}
		followed = k.stamp
		if k.event {
			if events++; events > maxEvents {
				break // an older binding without the event that retires it would open too much
			}
		} else if plain++; plain > maxBindings {
			continue
		}
		out = append(out, k)
	}
	return out
}

// thin drops each event that lies between two others and with which no flow has started: the older of the two
// retires the same bindings.
func thin(ks []entry, now time.Time) []entry {
	settled := now.Add(-time.Minute).UnixMicro() // a start that is under way may not be in it yet
	out := ks[:0:0]
	for i, k := range ks {
		between := i > 0 && i+1 < len(ks) && k.event && ks[i-1].event && ks[i+1].event
		if between && k.sessionTag == [sessionTagSize]byte{} && (ks[i-1].stamp < settled || len(ks) > maxEvents/2) {
			continue
		}
		out = append(out, k)
	}
	return out
}

// retired returns the time at which b was retired, math.MaxInt64 if it was not. It opens what started before.
func (j *Bindings) retired(b *binding) int64 {
	limit := int64(math.MaxInt64)
	if slices.Contains(j.forgotten, *b) {
		limit = j.since
	}
	for i := range j.kept {
		if k := &j.kept[i]; k.event && k.stamp > b.stamp {
			limit = min(limit, k.stamp)
		}
	}
	return limit
}

// startedIn reports whether the browser has started a flow with b in the session of that tag.
func (j *Bindings) startedIn(b *binding, tag [sessionTagSize]byte) bool {
	return tag != [sessionTagSize]byte{} && slices.Contains(j.kept, entry{*b, tag})
}

// latest returns the latest time that is in the cookies.
func (j *Bindings) latest() (at int64) {
	for i := range j.Cookies {
		at = max(at, j.Cookies[i].kept[0].stamp, j.Cookies[i].last)
	}
	return at
}

// Gates returns the notes of all cookies, one for each path.
func (j *Bindings) Gates() (gs []gate) {
	for i := range j.Cookies {
		gs = append(gs, j.Cookies[i].gates...)
	}
	return merged(gs)
}

// parseBinding reads mark‖binding.rest[.gate]… A gate that it cannot read is a later version's, and is left out.
func (a *SignIns) parseBinding(name, value string) (c bindingCookie, ok bool) {
	head, tail, ok := strings.Cut(value, ".")
	if !ok || !keys.Token(head, 43) {
		return c, false
	}
	rest, notes, _ := strings.Cut(tail, ".")
	b, r := keys.Raw(head), keys.Raw(rest)
	if len(b) != markSize+bindingSize || len(r) == 0 {
		return c, false
	}
	first := unpackBinding(string(b[markSize:]))
	k := a.env.Key(first.ring)
	if k == nil || !hmac.Equal(b[:markSize], a.bindingMark(k, name, string(b[markSize:]), string(r))) {
		return c, false
	}
	p := packed.Read(string(r))
	since, tag, older := p.Uint(), p.String(), p.String()
	if p.Err() != nil {
		return c, false
	}
	c = bindingCookie{name: name, kept: []entry{{binding: first}}, gates: parseGates(notes)}
	copy(c.kept[0].sessionTag[:], tag)
	if since > 0 {
		c.last = first.stamp + int64(since)
	}
	for ; len(older) >= bindingSize+sessionTagSize; older = older[bindingSize+sessionTagSize:] {
		k := entry{binding: unpackBinding(older)}
		copy(k.sessionTag[:], older[bindingSize:])
		c.kept = append(c.kept, k)
	}
	return c, true
}
