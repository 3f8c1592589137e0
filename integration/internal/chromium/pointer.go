package chromium

import (
	"encoding/json"
	"fmt"

	"github.com/chromedp/chromedp"
)

// DoubleClick clicks an element twice in a row, as people do who learned it on a desktop.
func (a *Tab) DoubleClick(selector string) {
	a.t.Helper()
	x, y := a.middle(selector)
	a.do("double-click "+selector, chromedp.MouseClickXY(x, y), chromedp.MouseClickXY(x, y, chromedp.ClickCount(2)))
}

// CtrlClickToTab clicks an element with the key held down that opens a new tab, and returns that tab.
func (a *Tab) CtrlClickToTab(selector string) *Tab {
	a.t.Helper()
	return a.newTab(patience, func() {
		x, y := a.middle(selector)
		a.do("click "+selector, chromedp.MouseClickXY(x, y, chromedp.ButtonModifiers(chromedp.ModifierCtrl)))
	})
}

// middle brings an element into view and returns where its middle is in the window.
func (a *Tab) middle(selector string) (x, y float64) {
	a.t.Helper()
	a.Wait(selector)
	a.front()
	const where = `(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const r = e.getBoundingClientRect();
		return JSON.stringify([r.x + r.width / 2, r.y + r.height / 2]);
	})()`
	var at [2]float64
	if err := json.Unmarshal([]byte(a.Script(fmt.Sprintf(where, selector))), &at); err != nil {
		a.fail("find "+selector, err)
	}
	return at[0], at[1]
}
