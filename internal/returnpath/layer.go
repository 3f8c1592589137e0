package returnpath

// inside reports whether no reader of path is led out of the app, or to prefix: neither one that
// takes it as it is, nor one that decodes it, nor one that decodes it again.
func inside(path, prefix string) bool {
	for range maxLayers {
		more, ok := layer(path)
		if !ok || under(path, prefix) {
			return false
		}
		if !more {
			return true
		}
		path = decode(path)
	}
	return false
}

// layer judges path with its escapes decoded once, and reports whether decoding leaves a "%" that
// may begin another escape.
func layer(path string) (more, ok bool) {
	var (
		seg              segment
		first            = true
		percent, decoded bool
		prev             byte
	)
	for i := 1; i < len(path); {
		c, width := next(path[i:])
		i += width
		decoded = decoded || width == 3
		percent = percent || c == '%'
		// Browsers drop TAB, CR and LF wherever they stand: "/.<TAB>./" is "/../".
		if c < ' ' || c == 0x7f || overlong(prev, c) {
			return false, false
		}
		prev = c
		if c != '/' && c != '\\' {
			seg.add(c)
			continue
		}
		if seg.dots() || first && seg.length == 0 {
			return false, false
		}
		seg, first = segment{}, false
	}
	// The path "/" is the one that has only an empty segment.
	if seg.dots() || first && seg.length == 0 && path != "/" {
		return false, false
	}
	return percent && decoded, true
}

// A segment is what stands between two slashes, up to its parameters.
type segment struct {
	length int  // without parameters
	other  bool // than dots
	cut    bool
}

func (s *segment) add(c byte) {
	switch {
	case s.cut:
	case c == ';':
		s.cut = true
	case c == '?' || c == '#':
		// An escaped one, which ends the path for whoever decodes first and parses then:
		// "/a/..%3f" is "/a/..". By itself it is a name, "/%23channel".
		s.cut = true
		if s.length == 0 {
			s.length, s.other = 1, true
		}
	default:
		s.length++
		s.other = s.other || c != '.'
	}
}

// dots reports whether s is "." or "..".
func (s *segment) dots() bool { return !s.other && (s.length == 1 || s.length == 2) }

// under reports whether path, decoded once, is prefix or beneath it.
func under(path, prefix string) bool {
	if prefix == "" {
		return false
	}
	n, cut := 0, false // n bytes of prefix were met
	for i := 0; i < len(path); {
		c, width := next(path[i:])
		i += width
		if c == '/' || c == '\\' {
			if n == len(prefix) {
				return true
			}
			cut, c = false, '/'
			// Routers merge slashes.
			if n > 0 && prefix[n-1] == '/' {
				continue
			}
		}
		cut = cut || c == ';'
		if cut {
			continue
		}
		if n == len(prefix) {
			return c == '?' || c == '#'
		}
		if lower(c) != lower(prefix[n]) {
			return false
		}
		n++
	}
	return n == len(prefix)
}

// next returns the first byte of s, decoded, and the length of what stands for it. A "%" that
// begins no escape stands for itself.
func next(s string) (c byte, width int) {
	if s[0] != '%' || len(s) < 3 {
		return s[0], 1
	}
	high, low := hex(s[1]), hex(s[2])
	if high > 15 || low > 15 {
		return s[0], 1
	}
	return high<<4 | low, 3
}

// decode returns path with its escapes decoded once.
func decode(path string) string {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); {
		c, width := next(path[i:])
		b = append(b, c)
		i += width
	}
	return string(b)
}

// overlong reports whether c after prev spells a character in more bytes than it needs, as old
// decoders accept it: C0 AF for "/". No text in UTF-8 has such bytes: RFC 3629, section 3.
func overlong(prev, c byte) bool {
	switch {
	case c == 0xc0 || c == 0xc1:
		return true
	case prev == 0xe0:
		return c >= 0x80 && c < 0xa0
	case prev == 0xf0:
		return c >= 0x80 && c < 0x90
	}
	return false
}

// hex returns the value of a hexadecimal digit, and 16 for anything else.
func hex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case lower(c) >= 'a' && lower(c) <= 'f':
		return lower(c) - 'a' + 10
	}
	return 16
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
