package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A Tab is one tab of a [Browser]. Every method waits for what it names, and ends the test with the
// tab's address and text if that does not come. Selectors are CSS.
type Tab struct {
	t       testing.TB
	browser *Browser
	ctx     context.Context
	name    string
}

// Open types url into the address bar.
func (a *Tab) Open(url string) {
	a.t.Helper()
	a.do("open "+url, chromedp.Navigate(url))
}

// Reload presses the reload button.
func (a *Tab) Reload() {
	a.t.Helper()
	a.do("reload", chromedp.Reload())
}

// Back presses the back button. It does not wait for a page to load, as [chromedp.NavigateBack] does:
// one that the browser has kept is there at once, and does not load.
func (a *Tab) Back() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	at, err := chromedp.Call(ctx, page.GetNavigationHistory, chromedp.Void{})
	if err != nil || at.CurrentIndex < 1 {
		a.fail("back", errors.Join(err, errors.New("this is the first page")))
	}
	to := page.NavigateToHistoryEntryParams{EntryID: at.Entries[at.CurrentIndex-1].ID}
	if _, err := chromedp.Call(ctx, page.NavigateToHistoryEntry, to); err != nil {
		a.fail("back", err)
	}
	again := time.NewTicker(patience / 600)
	defer again.Stop()
	for {
		// Between two pages there is none to ask.
		now, err := chromedp.Call(ctx, page.GetNavigationHistory, chromedp.Void{})
		if err == nil && now.CurrentIndex != at.CurrentIndex {
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			a.fail("back", ctx.Err())
		}
	}
	a.attach()
	a.WaitScript(`document.readyState === "complete"`)
}

// attach looks at the tab anew: chromedp does not notice that a page is back which did not load.
func (a *Tab) attach() {
	a.t.Helper()
	own, err := chromedp.Call(a.ctx, target.GetTargetInfo, target.GetTargetInfoParams{})
	if err != nil {
		a.fail("find itself", err)
	}
	a.ctx = a.browser.tab(a.t, a.name, chromedp.WithTargetID(own.TargetInfo.TargetID)).ctx
}

// Click clicks an element with the mouse, as a person does.
func (a *Tab) Click(selector string) {
	a.t.Helper()
	a.do("click "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// ClickAt clicks a point of the window, be it in a frame or not.
func (a *Tab) ClickAt(x, y float64) {
	a.t.Helper()
	a.front()
	// A click finds a frame of another site only where the window has been painted with it.
	const painted = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done("painted"))))`
	run(a, "paint", chromedp.Evaluate[string](painted, chromedp.EvalAwaitPromise))
	a.do("click a point", chromedp.MouseClickXY(x, y))
}

// ClickToTab clicks an element and returns the tab that this opens, whether or not the new tab knows
// its opener.
func (a *Tab) ClickToTab(selector string) *Tab {
	a.t.Helper()
	return a.newTab(patience, func() { a.Click(selector) })
}

// ClickAtToTab clicks a point until that opens a tab: a frame of another site misses a click that
// comes before the browser knows where the frame is.
func (a *Tab) ClickAtToTab(x, y float64) *Tab {
	a.t.Helper()
	return a.newTab(patience/60, func() { a.ClickAt(x, y) })
}

// newTab acts, once each interval, until that opens a tab. It does not use chromedp.WaitNewTarget,
// which ignores tabs without an opener.
func (a *Tab) newTab(interval time.Duration, act func()) *Tab {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.browser.ctx, patience)
	defer cancel()
	created := make(chan target.ID, 1)
	err := chromedp.ListenBrowser(ctx, func(ev any) {
		e, ok := ev.(*target.EventTargetCreated)
		if !ok || e.TargetInfo.Type != "page" {
			return
		}
		select {
		case created <- e.TargetInfo.TargetID:
		default:
		}
	})
	if err != nil {
		a.t.Fatalf("%s: wait for a new tab: %v", a.name, err)
	}
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		act()
		select {
		case id := <-created:
			return a.browser.tab(a.t, "new tab", chromedp.WithTargetID(id))
		case <-again.C:
		case <-ctx.Done():
			a.fail("wait for a new tab", ctx.Err())
		}
	}
}

// Type puts text into a field, key by key, after what is there.
func (a *Tab) Type(selector, text string) {
	a.t.Helper()
	a.do("type into "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Wait waits until an element can be seen.
func (a *Tab) Wait(selector string) {
	a.t.Helper()
	a.do("wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// WaitScript waits until a JavaScript expression is true in the page that the tab shows, through
// pages that come and go.
func (a *Tab) WaitScript(expression string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(patience/600)))
		var thrown *chromedp.ExceptionError
		switch {
		case err == nil:
			return
		case ctx.Err() != nil, errors.As(err, &thrown):
			a.fail("wait for "+expression, err)
		}
		// The page went away, and with it the question: ask the next one.
		if err := chromedp.Do(ctx, chromedp.WaitReady(chromedp.CSS("body"))); err != nil {
			a.fail("wait for "+expression, err)
		}
	}
}

// WaitText waits until the text of the first such element begins with want.
func (a *Tab) WaitText(selector, want string) {
	a.t.Helper()
	a.WaitScript(fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "").trim().startsWith(%q)`, selector, want))
}

// Text returns the text of an element as a person sees it, without space around it.
func (a *Tab) Text(selector string) string {
	a.t.Helper()
	a.Wait(selector)
	return strings.TrimSpace(run(a, "read "+selector, chromedp.Text(chromedp.CSS(selector))))
}

// Value returns what a field holds.
func (a *Tab) Value(selector string) string {
	a.t.Helper()
	a.Wait(selector)
	return run(a, "read "+selector, chromedp.Value(chromedp.CSS(selector)))
}

// URL returns what the address bar shows.
func (a *Tab) URL() string {
	a.t.Helper()
	return run(a, "read the address", chromedp.Location())
}

// Script returns the value of a JavaScript expression that gives a string.
func (a *Tab) Script(expression string) string {
	a.t.Helper()
	return run(a, "evaluate "+expression, chromedp.Evaluate[string](expression))
}

// Screenshot writes the page that the tab shows, from top to bottom, to a PNG file.
func (a *Tab) Screenshot(path string) {
	a.t.Helper()
	a.front()
	// At the top, out of the pointer's way, and with nothing in motion, the picture is the same each time.
	a.do("move the pointer away", chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 0, 0))
	const still = `new Promise(done => {
		scrollTo(0, 0);
		requestAnimationFrame(() => requestAnimationFrame(() => {
			document.getAnimations().forEach((a) => a.finish());
			requestAnimationFrame(() => done("still"));
		}));
	})`
	run(a, "hold still", chromedp.Evaluate[string](still, chromedp.EvalAwaitPromise))
	const lossless = 100
	png := run(a, "take a screenshot", chromedp.FullScreenshot(lossless))
	if err := os.WriteFile(path, png, 0o644); err != nil {
		a.t.Fatalf("%s: %v", a.name, err)
	}
}

// front makes this the tab that the window shows: one in the background is not painted.
func (a *Tab) front() {
	a.t.Helper()
	if _, err := chromedp.Call(a.ctx, page.BringToFront, chromedp.Void{}); err != nil {
		a.fail("bring to front", err)
	}
}

func (a *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		a.fail(what, err)
	}
}

func run[T any](a *Tab, what string, action chromedp.Action[T]) T {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		a.fail(what, err)
	}
	return got
}

// fail says where the tab is, which is what one needs to know.
func (a *Tab) fail(what string, err error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, patience)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + (document.body ? document.body.innerText : "")`))
	a.t.Fatalf("%s: %s: %v\nthe tab shows: %s", a.name, what, err, where)
}
