package integration_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// listener is the page that a person left open.
func listener(w http.ResponseWriter, r *http.Request) {
	write(w, `<p id="heard">nothing</p>
<a id="go-new" href="/leave/form?then=303" target="_blank" rel="noopener">new tab</a>
<a id="send" href="/sender" target="_blank" rel="noopener">send</a>
<script>
new BroadcastChannel("rl").onmessage = (e) => {
  const p = document.getElementById("heard");
  p.textContent = e.data; p.id = "heard-it";
};
</script>`)
}

// sender is the page in which a sign-in ended.
func sender(w http.ResponseWriter, r *http.Request) {
	write(w, `<p id="opener"></p>
<script>
document.getElementById("opener").textContent = window.opener === null ? "no opener" : "an opener";
new BroadcastChannel("rl").postMessage("changed");
</script>`)
}

func TestBrowser_row13_new_tab(t *testing.T) {
	b, g := chromium.New(t), newGround(t)
	cookies := b.Tab(t)
	cookies.Open(g.app + "/")
	cookies.Wait("#go")

	first := b.Tab(t)
	first.Open(g.app + "/listener")

	second := first.ClickToTab("#go-new")
	second.Click("#allow")
	if got := read(t, second).Cookies; !slices.Contains(got, "lax") {
		t.Errorf("cookies where the new tab ended: got %v, want lax among them", got)
	}

	third := first.ClickToTab("#send")
	if got, want := third.Text("#opener"), "no opener"; got != want {
		t.Errorf("new tab: got %q, want %q", got, want)
	}
	if got, want := first.Text("#heard-it"), "changed"; got != want {
		t.Errorf("first tab heard %q, want %q", got, want)
	}
}
