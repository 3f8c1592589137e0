package chromium

import (
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// A Node is an element as assistive technology is told about it.
type Node struct{ Role, Name, Description string }

// Nodes returns the page's elements as assistive technology is told about them, in their order.
func (a *Tab) Nodes() []Node {
	a.t.Helper()
	tree, err := chromedp.Call(a.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		a.fail("read the accessibility tree", err)
	}
	var all []Node
	for _, n := range tree.Nodes {
		if !n.Ignored && n.Role != nil {
			all = append(all, Node{Role: text(n.Role), Name: text(n.Name), Description: text(n.Description)})
		}
	}
	return all
}

// text returns what a value of the tree says: it is JSON.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(v.Value), `"`))
}
