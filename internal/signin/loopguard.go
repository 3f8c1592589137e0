package signin

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/web"
)

// A gate notes the sign-ins that a page started by itself, so that a session that never satisfies the page is
// not sent to sign in for ever. The notes are in the binding cookie, and are kept when that is replaced.
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
	maxStarts = 3 // in a gateRest, of a gate that has let the person through once
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

// counts reports whether g still counts at now.
func (g *gate) counts(now time.Time) bool { return now.Sub(time.Unix(g.at, 0)).Abs() < gateRest }

// MayStart reports whether an automatic sign-in for path may start at now: one per browser and path in a
// minute, and two more once the gate has let the person through.
func MayStart(gs []gate, path string, now time.Time) bool {
	for _, g := range gs {
		if g.path == path && g.counts(now) {
			return g.through && g.starts < maxStarts
		}
	}
	return true
}

// noted returns gs with a start for path.
func noted(gs []gate, path string, now time.Time) []gate {
	g := gate{path: path, at: now.Unix()}
	for _, old := range gs {
		if old.path == path && old.counts(now) {
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
		if gs[i].path == path && gs[i].counts(now) {
			gs[i].through = true
		}
	}
	return gs
}

// put returns gs with g, without the notes that do not count any more. Of many notes, the first is dropped.
func put(gs []gate, g gate, now time.Time) []gate {
	gs = slices.DeleteFunc(slices.Clone(gs), func(o gate) bool { return o.path == g.path || !o.counts(now) })
	if len(gs) >= maxGates {
		gs = gs[len(gs)-maxGates+1:]
	}
	return append(gs, g)
}

// merged returns one note for each path, from those of several cookies: the one that allows less. That the person
// was let through holds if one of the same start says so.
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

// waiting reports, at little cost, whether r may show the note of a gate that has not let the person through.
func waiting(c *web.Cookies, r *http.Request, now time.Time) (found bool) {
	web.Each(r, func(name, value string) bool {
		if !strings.HasPrefix(name, c.Binding) {
			return true
		}
		_, tail, _ := strings.Cut(value, ".")
		if _, notes, ok := strings.Cut(tail, "."); ok {
			for _, g := range parseGates(notes) {
				found = found || !g.through && g.counts(now)
			}
		}
		return !found
	})
	return found
}

// GatePath returns the form in which a path is noted.
func GatePath(path string) string {
	h := sha256.Sum256([]byte(path))
	return keys.Text(h[:])[:6]
}
