package middleware

import (
	"net/url"

	"github.com/returnleg/returnleg/internal/web"
)

const maxSite = 200 // bytes

// site returns the name in c, or that of base. A name that is a base URL stands for its origin, however it
// is written.
func (c *Config) site(base *url.URL) string {
	if c.Site == "" {
		return web.Origin(base)
	}
	if u, err := web.CheckBaseURL(c.Site); err == nil {
		return web.Origin(u)
	}
	return c.Site
}

func checkSite(name string) (errs mistakes) {
	printable := true
	for _, c := range []byte(name) {
		printable = printable && ' ' < c && c < 0x7f
	}
	if len(name) > maxSite || !printable {
		errs.add("Site %q: want at most %d printable ASCII characters and no space, such as https://app.example.com", name, maxSite)
	}
	return errs
}
