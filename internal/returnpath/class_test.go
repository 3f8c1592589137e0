package returnpath_test

import (
	"slices"
	"testing"
)

// One row for every address of return-to.md, in its order, with the verdict that it has to get.
func TestClean_Classes(t *testing.T) {
	rows := []struct {
		in   string
		want bool
	}{
		{"//evil.example", false},
		{"///evil.example", false},
		{"////evil.example", false},
		{"/////evil.example", false},
		{"/\\evil.example", false},
		{"/\\/evil.example", false},
		{"\\/evil.example", false},
		{"\\\\evil.example", false},
		{"/\\\\evil.example", false},
		{"//\\evil.example", false},
		{"/\t/evil.example", false},
		{"/\n/evil.example", false},
		{"/\r/evil.example", false},
		{"/\t\n\r/evil.example", false},
		{"\t//evil.example", false},
		{" //evil.example", false},
		{"\x00//evil.example", false},
		{"\x01//evil.example", false},
		{"\u00a0//evil.example", false},
		{"/\u00a0/evil.example", false},
		{"/%09/evil.example", false},
		{"/%0a/evil.example", false},
		{"/%0d%0aLocation:%20//evil.example", false},
		{"/%5cevil.example", false},
		{"/%2f/evil.example", false},
		{"/%2F%2Fevil.example", false},
		{"/%2f%2fevil.example", false},
		{"/a/..%2f%2fevil.example", false},
		{"/a/..//evil.example", false},
		{"/.//evil.example", false},
		{"/..//evil.example", false},
		{"/%2e//evil.example", false},
		{"/%2e%2e//evil.example", false},
		{"/./\\evil.example", false},
		{"/;//evil.example", false},
		{"/..;//evil.example", false},
		{"/.evil.example", true},
		{"/@evil.example", true},
		{"@evil.example", false},
		{"evil.example", false},
		{".evil.example", false},
		{"?next=//evil.example", false},
		{"#//evil.example", false},
		{"https:evil.example", false},
		{"https:/evil.example", false},
		{"https:///evil.example", false},
		{"http:evil.example", false},
		{"https:\\\\evil.example", false},
		{"https:\\evil.example", false},
		{"HTTPS://evil.example", false},
		{"//app.example@evil.example", false},
		{"https://app.example@evil.example", false},
		{"https://app.example:443@evil.example", false},
		{"https://app.example.evil.example", false},
		{"https://app.example%2eevil.example", false},
		{"https://evil.example#app.example", false},
		{"https://evil.example?app.example", false},
		{"https://app.example./x", false},
		{"https://app.example:8443", false},
		{"http://app.example", false},
		{"//app.example:8443", false},
		{"//evil。example", false},
		{"/〱evil.example", false},
		{"/%E3%80%B1evil.example", true},
		{"/ーevil.example", false},
		{"//evil.example%00.app.example", false},
		{"//[::ffff:127.0.0.1]", false},
		{"//0x7f000001", false},
		{"//2130706433", false},
		{"//0330.072.0326.0316", false},
		{"javascript:alert(1)", false},
		{"JaVaScRiPt:alert(1)", false},
		{"java\tscript:alert(1)", false},
		{"java%0d%0ascript%0d%0a:alert(0)", false},
		{"data:text/html,x", false},
		{"vbscript:x", false},
		{"/javascript:alert(1);", true},
		{"//%09javascript:alert(1)", false},
		{"/callback?code=x&state=y", true},
		{"/logout", true},
		{"/login?return_to=/login", true},
		{"////www.whitelisted.tld@evil.example/%2f..", false},
	}
	var named []string
	for _, row := range rows {
		named = append(named, row.in)
		t.Run(row.in, func(t *testing.T) {
			got, ok := clean(row.in)
			if ok != row.want {
				t.Errorf("Clean(%q) = %q, %v, want %v", row.in, got, ok, row.want)
			}
		})
	}
	if got := classes(t); !slices.Equal(got, named) {
		t.Errorf("return-to.md has %d addresses, the table %d, or they differ", len(got), len(named))
	}
}
