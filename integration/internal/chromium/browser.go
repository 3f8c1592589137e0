// Package chromium drives a Chromium for one test: tabs, clicks, and what a person would read.
package chromium

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/returnleg/returnleg/internal/required"
)

// names are what distributions call the program.
var names = [...]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// A Browser is one Chromium process with a profile of its own, which ends with its test.
type Browser struct{ ctx context.Context }

// New starts a Chromium that finds no host but this one, with a new profile that is removed with it.
// CHROMIUM in the environment names the program; otherwise it is looked up in PATH. Without one the
// test ends, see [required.Missing].
func New(t testing.TB) *Browser {
	t.Helper()
	path, err := program()
	if err != nil {
		required.Missing(t, "Chromium", err)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoSandbox,
		chromedp.WindowSize(1024, 768),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("password-store", "basic"),
	)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	// The first context is the browser, and an empty tab that nobody uses.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &Browser{ctx: ctx}
}

// Tab opens an empty tab, which is closed when t ends.
func (b *Browser) Tab(t testing.TB) *Tab {
	t.Helper()
	return b.tab(t, "tab")
}

// Elsewhere opens a tab that shares no cookie and nothing else with the others: to a site it is one of
// another browser.
func (b *Browser) Elsewhere(t testing.TB) *Tab {
	t.Helper()
	return b.tab(t, "tab elsewhere", chromedp.WithNewBrowserContext())
}

func (b *Browser) tab(t testing.TB, name string, opts ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, opts...)
	t.Cleanup(cancel)
	// The first use binds the tab to its context: one with a timeout would close it.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a %s: %v", name, err)
	}
	return &Tab{t: t, browser: b, ctx: ctx, name: name}
}

func program() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no program of that name in PATH")
}

// patience is how long a page may take on a busy machine.
const patience = time.Minute
