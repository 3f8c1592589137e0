package chromium

import (
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Resize gives the page a window of that size, in CSS pixels.
func (a *Tab) Resize(width, height int64) {
	a.t.Helper()
	a.do("resize", chromedp.EmulateViewport(width, height))
}

// Prefer sets what the person's system asks of pages, such as "prefers-color-scheme" to "dark".
func (a *Tab) Prefer(feature, value string) {
	a.t.Helper()
	features := []*emulation.MediaFeature{{Name: feature, Value: value}}
	if _, err := chromedp.Call(a.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		a.fail("prefer "+value, err)
	}
}
