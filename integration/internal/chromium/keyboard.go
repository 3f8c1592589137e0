package chromium

import (
	"fmt"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Press presses keys, one after the other, wherever the focus is. Keys without a
// character are in package kb of chromedp.
func (a *Tab) Press(keys string) {
	a.t.Helper()
	a.front()
	a.do("press a key", chromedp.KeyEvent(keys))
}

// PressToTab presses keys and returns the tab that this opens.
func (a *Tab) PressToTab(keys string) *Tab {
	a.t.Helper()
	return a.newTab(patience, func() { a.Press(keys) })
}

// TabTo presses the Tab key until the focus is on an element, and ends the test if it does not get
// there, or if a stop on the way does not show that it has the focus.
func (a *Tab) TabTo(selector string) {
	a.t.Helper()
	for range 60 {
		a.Press(kb.Tab)
		switch a.Script(fmt.Sprintf(focus, selector)) {
		case "there":
			return
		case "unseen":
			a.fail("see the focus", fmt.Errorf("nothing is drawn around %s", a.Script(`document.activeElement.outerHTML.slice(0, 200)`)))
		}
	}
	a.fail("tab to "+selector, fmt.Errorf("60 stops, and not there"))
}

// focus tells where the focus is. A card draws the ring of the box in it.
const focus = `(() => {
	const at = document.activeElement;
	if (at === document.body) return "nowhere";
	const ring = (e) => e && getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2;
	if (!ring(at) && !ring(at.closest("label"))) return "unseen";
	return at.matches(%q) ? "there" : "elsewhere";
})()`
