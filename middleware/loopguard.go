package middleware

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/web"
)

// A gate notes the automatic sign-ins for a path, so that a session that never comes to satisfy a gate
// is no endless loop. The notes are in the binding cookie, and move along when that becomes another.
type gate struct {
	path    string // 6 characters of a hash
	at      int64  // Unix seconds of the first start
	starts  int
	through bool // the gate has let the person through since
}

const (
	maxGates  = 4
	maxParts  = 16
	gateRest  = time.Minute
	maxStarts = 3 // of a gate that has let the person through once
)

// parseGates reads the notes of a cookie.
func parseGates(notes string) (gs []gate) {
	for n := 0; notes != "" && n < maxParts && len(gs) < maxGates; n++ {
		var p string
		p, notes, _ = strings.Cut(notes, ".")
		if len(p) < 7 || !keys.Token(p[:6], 6) {
			continue
		}
		v, err := strconv.ParseUint(p[6:], 36, 60)
		if err == nil {
			gs = append(gs, gate{path: p[:6], at: int64(v >> 3), starts: int(v & 3), through: v&4 != 0})
		}
	}
	return gs
}

// String returns g as a part of a cookie.
func (g gate) String() string {
	v := uint64(g.at)<<3 | uint64(min(g.starts, maxStarts))
	if g.through {
		v |= 4
	}
	return g.path + strconv.FormatUint(v, 36)
}

// fresh reports that g still counts.
func (g *gate) fresh(now time.Time) bool { return now.Sub(time.Unix(g.at, 0)).Abs() < gateRest }

// mayStart reports whether an automatic sign-in for path may start at now: one per browser and path in a
// minute, and two more once the gate has let the person through.
func mayStart(gs []gate, path string, now time.Time) bool {
	for _, g := range gs {
		if g.path == path && g.fresh(now) {
			return g.through && g.starts < maxStarts
		}
	}
	return true
}

// noted returns gs with a start for path.
func noted(gs []gate, path string, now time.Time) []gate {
	g := gate{path: path, at: now.Unix()}
	for _, old := range gs {
		if old.path == path && old.fresh(now) {
			g = old
		}
	}
	g.starts++
	return put(gs, g, now)
}

// barred returns gs with a note that no automatic sign-in for path is to start for a minute.
func barred(gs []gate, path string, now time.Time) []gate {
	return put(gs, gate{path: path, at: now.Unix(), starts: maxStarts}, now)
}

// passed returns gs with a note that the gate of path has let the person through, if it started a sign-in.
func passed(gs []gate, path string, now time.Time) []gate {
	gs = slices.Clone(gs)
	for i := range gs {
		if gs[i].path == path && gs[i].fresh(now) {
			gs[i].through = true
		}
	}
	return gs
}

// put returns gs with g, without what does not count any more; of many, the first goes.
func put(gs []gate, g gate, now time.Time) []gate {
	gs = slices.DeleteFunc(slices.Clone(gs), func(o gate) bool { return o.path == g.path || !o.fresh(now) })
	if len(gs) >= maxGates {
		gs = gs[len(gs)-maxGates+1:]
	}
	return append(gs, g)
}

// merged returns one note per path, of what several cookies say: the one that allows less, but that the
// person was let through is known by one of them.
func merged(gs []gate) (out []gate) {
	for _, g := range gs {
		i := slices.IndexFunc(out, func(o gate) bool { return o.path == g.path })
		switch {
		case i < 0:
			out = append(out, g)
		case g.at > out[i].at:
			out[i] = g
		case g.at == out[i].at:
			out[i].starts, out[i].through = max(g.starts, out[i].starts), g.through || out[i].through
		}
	}
	slices.SortStableFunc(out, func(x, y gate) int { return int(x.at - y.at) })
	if len(out) > maxGates {
		out = out[len(out)-maxGates:]
	}
	return out
}

// retireBindings adds to h that what was known of the browser's bindings is worth nothing from now on.
func (q *request) retireBindings(h http.Header) {
	a := q.auth
	now := a.env.Clock()
	r := a.retire(a.bindings(q.r), a.env.Stamp(now, 0), now)
	if r.set != nil && q.letThrough() {
		r.set.gates = passed(r.set.gates, gatePath(q.r.URL.Path), a.env.Clock())
	}
	a.setBindings(h, r)
}

// notePassed adds to h that the gate which has started a sign-in for this page has let the person through.
func (q *request) notePassed(h http.Header) {
	a := q.auth
	if !q.letThrough() || !waiting(&a.app.Cookies, q.r, a.env.Clock()) || a.app.Cookies.Binds(h) {
		return
	}
	path, j := gatePath(q.r.URL.Path), a.bindings(q.r)
	before := j.gates()
	after := passed(before, path, a.env.Clock())
	if len(j.cookies) == 0 || slices.Equal(before, after) {
		return
	}
	c := j.cookies[0]
	c.gates = after
	a.setBindings(h, rebinding{set: &c})
}

// letThrough reports that this request is served to somebody who is signed in, and that no gate has
// stopped it.
func (q *request) letThrough() bool {
	return !q.stopped.Load() && !q.SignOut && q.Now.Load().SignedIn()
}

// waiting reports, at little cost, that r may show the note of a gate that has not let the person through.
func waiting(c *web.Cookies, r *http.Request, now time.Time) (found bool) {
	web.Each(r, func(name, value string) bool {
		if !strings.HasPrefix(name, c.Binding) {
			return true
		}
		_, tail, _ := strings.Cut(value, ".")
		if _, notes, ok := strings.Cut(tail, "."); ok {
			for _, g := range parseGates(notes) {
				found = found || !g.through && g.fresh(now)
			}
		}
		return !found
	})
	return found
}
