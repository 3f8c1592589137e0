package sessionstore

// An expiry is a heap of entries, the earliest end on top. Sessions are extended all the time and
// rarely shortened, so an end that moved away is not sorted in again before it comes up.
type expiry []end

// An end is when an entry has to be looked at: never after it expires, often before.
type end struct {
	at int64
	e  *entry
}

// due returns the entry on top if it has to be looked at, or nil. It may have been extended.
func (x expiry) due(now int64) *entry {
	if len(x) == 0 || x[0].at > now {
		return nil
	}
	return x[0].e
}

// push adds e.
func (x *expiry) push(e *entry) {
	e.slot = int32(len(*x))
	*x = append(*x, end{e.expires, e})
	x.up(len(*x) - 1)
}

// update makes good that e expires at another time.
func (x expiry) update(e *entry) {
	if e.expires < x[e.slot].at {
		x[e.slot].at = e.expires
		x.up(int(e.slot))
	}
}

// postpone sorts in an entry that was extended.
func (x expiry) postpone(e *entry) {
	x[e.slot].at = e.expires
	x.down(int(e.slot))
}

// remove takes e out. A heap that has become much too large gives memory back.
func (x *expiry) remove(e *entry) {
	h := *x
	i, last := int(e.slot), len(h)-1
	h.swap(i, last)
	h[last] = end{}
	h = h[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
	if cap(h) > 1024 && len(h) < cap(h)/4 {
		h = append(make(expiry, 0, cap(h)/2), h...)
	}
	*x = h
}

func (x expiry) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if x[parent].at <= x[i].at {
			return
		}
		x.swap(i, parent)
		i = parent
	}
}

func (x expiry) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(x); child++ {
			if x[child].at < x[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		x.swap(i, least)
		i = least
	}
}

func (x expiry) swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].e.slot, x[j].e.slot = int32(i), int32(j)
}
