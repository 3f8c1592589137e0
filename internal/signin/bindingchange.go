package signin

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A BindingChange is what an answer does to the cookies of the bindings. The zero one does nothing.
type BindingChange struct {
	set   *bindingCookie // nil: none
	clear []string
}

// mergeBindings returns the change that replaces several cookies by one with the bindings of all. Of many
// cookies it merges a few. An event, if there is one, becomes the first binding.
func (a *SignIns) mergeBindings(j *Bindings, event *binding) BindingChange {
	if len(j.Cookies) == 0 {
		return BindingChange{}
	}
	c := bindingCookie{last: j.Cookies[0].last, gates: j.Gates()}
	if event != nil {
		c.kept, c.last = append(c.kept, entry{binding: *event}), 0
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
	c.kept = slices.DeleteFunc(live(c.kept, a.env.Clock()), func(k entry) bool { return !slices.Contains(j.kept, k) && (event == nil || k.binding != *event) })
	c.kept = thin(c.kept, a.env.Clock())
	first := c.kept[0].binding
	c.name = a.bindingName(&first, gone)
	return BindingChange{set: &c, clear: a.clearUnreadable(j, gone)}
}

// clearUnreadable adds to names those of cookies that cannot be read, if there are many.
func (a *SignIns) clearUnreadable(j *Bindings, names []string) []string {
	for i := 0; i < len(j.unreadable)-maxUnreadable && len(names) < maxCleared; i++ {
		names = append(names, j.unreadable[i])
	}
	return names
}

// bind returns the change for a flow that starts now in the session sid. The flow takes the first binding of the
// cookie. gate is the path of the page that starts it by itself, "" if none does.
func (a *SignIns) bind(j *Bindings, sid, gate string, now time.Time) (BindingChange, error) {
	var r BindingChange
	switch {
	case len(j.Cookies) == 0:
		c, err := a.newBinding(now)
		if err != nil {
			return r, err
		}
		r.set, r.clear = &c, a.clearUnreadable(j, nil)
	case len(j.Cookies) > maxKept:
		r = a.mergeBindings(j, nil)
	default:
		c := j.Cookies[0]
		c.kept = slices.DeleteFunc(slices.Clone(c.kept), func(k entry) bool { return !slices.Contains(j.kept, k) })
		c.gates = j.Gates()
		r.set, r.clear = &c, a.clearUnreadable(j, nil)
	}
	c := r.set
	c.last = a.env.Stamp(now, max(c.kept[0].stamp, c.last))
	c.kept[0].sessionTag = a.sessionTag(&c.kept[0].binding, sid)
	if gate != "" {
		c.gates = noted(c.gates, gate, now)
	}
	return r, nil
}

// retireBindings returns the change that an event at the time at makes: no new flow opens
// with the bindings from before. A browser that shows none has nothing to retire. Two answers about one event make
// the same cookie.
func (a *SignIns) retireBindings(j *Bindings, at int64, now time.Time) BindingChange {
	if len(j.Cookies) == 0 {
		return BindingChange{}
	}
	e := binding{ring: a.env.Ring[0].ID, stamp: max(at, j.latest()+1), event: true}
	if e.stamp > at {
		a.env.Stamp(now, e.stamp-1) // the next stamp of this process is later
	}
	m := a.env.Ring[0].Binding.Derive("event", e.pack(), j.Cookies[0].kept[0].pack())
	copy(e.id[:], m[:])
	return a.mergeBindings(j, &e)
}

// SetBindings adds the cookies of r to h.
func (a *SignIns) SetBindings(h http.Header, r BindingChange) {
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

// Rebind adds to h the cookies of a sign-in that is done: that of its session, if out has one for the browser,
// and those of the bindings that are left.
func (a *SignIns) Rebind(h http.Header, r *http.Request, out *Outcome, red *Redemption) {
	var c BindingChange
	switch j := a.Bindings(r); {
	case out != nil && out.secret != "":
		a.app.Cookies.SetSession(h, out.session, out.secret, out.deadline, a.app.Cookies.Persist || out.persist)
		c = a.retireBindings(j, red.stamp, a.env.Clock())
	case len(j.Cookies) > 1 || out != nil && out.unmet:
		c = a.mergeBindings(j, nil)
	}
	if out != nil && out.unmet && c.set != nil {
		// The person has said no: for a minute the page starts no sign-in by itself.
		if to, err := url.Parse(red.Landing); err == nil {
			c.set.gates = barred(c.set.gates, GatePath(to.Path), a.env.Clock())
		}
	}
	a.SetBindings(h, c)
}

// RetireShown retires the bindings that r shows, by cookies that it adds to h. passedPath is the path whose gate
// has let the person through with this request, "" if none has.
func (a *SignIns) RetireShown(h http.Header, r *http.Request, passedPath string) {
	now := a.env.Clock()
	c := a.retireBindings(a.Bindings(r), a.env.Stamp(now, 0), now)
	if c.set != nil && passedPath != "" {
		c.set.gates = passed(c.set.gates, GatePath(passedPath), now)
	}
	a.SetBindings(h, c)
}

// NotePassed notes, by a cookie that it adds to h, that the gate of r's path has let the person through. It does
// nothing if that gate has not started a sign-in.
func (a *SignIns) NotePassed(h http.Header, r *http.Request) {
	if !waiting(&a.app.Cookies, r, a.env.Clock()) || a.app.Cookies.SetsBinding(h) {
		return
	}
	path, j := GatePath(r.URL.Path), a.Bindings(r)
	before := j.Gates()
	after := passed(before, path, a.env.Clock())
	if len(j.Cookies) == 0 || slices.Equal(before, after) {
		return
	}
	c := j.Cookies[0]
	c.gates = after
	a.SetBindings(h, BindingChange{set: &c})
}
