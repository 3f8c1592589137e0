package integration_test

import (
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// A form that fills its frame, so that a click in the middle of the window hits its button.
const startForm = `<form method="post" target="_blank" action="%s/start"><button style="position:fixed;inset:0;width:100%%">Start</button></form>`

// frame is the app inside a page of another site: a form, or a button that tells the page around it
// what window.open gives.
func (g *ground) frame(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("probe") == "" {
		write(w, startForm, g.app)
		return
	}
	write(w, `<button style="position:fixed;inset:0;width:100%%" onclick="parent.postMessage(window.open('/landing') ? 'a window' : 'nothing', '*')">Open</button>`)
}

// embed is a site that shows the app in a frame, and chooses how it isolates itself.
func (g *ground) embed(w http.ResponseWriter, r *http.Request) {
	if policy := r.FormValue("coop"); policy != "" {
		w.Header().Set("Cross-Origin-Opener-Policy", policy)
	}
	write(w, `<p id="probe"></p>
<iframe src="%s/frame?probe=%s" style="position:fixed;inset:0;width:100%%;height:100%%" onload="document.body.id='ready'"></iframe>
<script>onmessage = (e) => { document.getElementById("probe").textContent = e.data }</script>`, g.app, r.FormValue("probe"))
}

// attack is a site that wants the app to believe that a start is its own.
func (g *ground) attack(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("from") == "page" {
		write(w, startForm+`<script>document.body.id='ready'</script>`, g.app)
		return
	}
	// srcdoc is a document inside an attribute.
	write(w, `<iframe sandbox="%s" srcdoc="&lt;form method=post target=_blank action='%s/start'>&lt;button style='position:fixed;inset:0;width:100%%%%'>Start"
 style="position:fixed;inset:0;width:100%%;height:100%%" onload="document.body.id='ready'"></iframe>`,
		"allow-forms allow-popups allow-popups-to-escape-sandbox", g.app)
}

// start clicks the middle of a page and returns what the app saw of the tab that opened.
func start(t *testing.T, b *chromium.Browser, page string) seen {
	t.Helper()
	tab := b.Tab(t)
	tab.Open(page)
	tab.Wait("#ready")
	opened := tab.ClickAtToTab(512, 300)
	return read(t, opened)
}

// probe clicks the middle of a page and returns what window.open gave the frame there.
func probe(t *testing.T, b *chromium.Browser, page string) string {
	t.Helper()
	tab := b.Tab(t)
	tab.Open(page)
	tab.Wait("#ready")
	tab.ClickAtToTab(512, 300)
	tab.WaitScript(`document.getElementById("probe").textContent !== ""`)
	return tab.Script(`document.getElementById("probe").textContent`)
}

func TestBrowser_row15_post_from_own_frame(t *testing.T) {
	b, g := chromium.New(t), newGround(t)
	for _, row := range []struct{ name, coop, open string }{
		{"embedder without COOP", "", "a window"},
		{"embedder same-origin-allow-popups", "same-origin-allow-popups", "a window"},
		{"embedder same-origin", "same-origin", "nothing"}, // a script has no way out
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := probe(t, b, g.provider+"/embed?probe=yes&coop="+row.coop); got != row.open {
				t.Errorf("window.open in the frame: got %s, want %s", got, row.open)
			}
			got := start(t, b, g.provider+"/embed?coop="+row.coop)
			if got.Site != "same-origin" {
				t.Errorf("Sec-Fetch-Site: got %s, want same-origin", got.Site)
			}
			if got.Origin != g.app {
				t.Errorf("Origin: got %s, want %s", got.Origin, g.app)
			}
			if got.Refused {
				t.Error("http.CrossOriginProtection refuses it")
			}
		})
	}
}

func TestBrowser_row16_post_from_attacker(t *testing.T) {
	b, g := chromium.New(t), newGround(t)
	for _, row := range []struct{ name, from, origin string }{
		{"page", "page", g.provider},
		{"sandboxed srcdoc", "srcdoc", "null"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := start(t, b, g.provider+"/attack?from="+row.from)
			if got.Site != "cross-site" {
				t.Errorf("Sec-Fetch-Site: got %s, want cross-site", got.Site)
			}
			if got.Origin != row.origin {
				t.Errorf("Origin: got %s, want %s", got.Origin, row.origin)
			}
			if !got.Refused {
				t.Error("http.CrossOriginProtection lets it pass")
			}
		})
	}
}
