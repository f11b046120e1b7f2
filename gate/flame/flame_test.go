package flame

import (
	"bytes"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/profdiff"
)

func node(name string, base, head float64, children ...*profdiff.Node) *profdiff.Node {
	return &profdiff.Node{Frame: profdiff.Frame{Pkg: "p", Name: name}, Base: base, Head: head, Children: children}
}

func draw(t *testing.T, root *profdiff.Node, o Options) string {
	t.Helper()
	var buf bytes.Buffer
	if err := HTML(&buf, root, o); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestANodeIsAsWideAsItsPart(t *testing.T) {
	page := draw(t, node("", 0, 100, node("a", 0, 75, node("b", 0, 25)), node("c", 0, 25)), Options{Title: "x", Metric: profdiff.Time})
	for _, want := range []string{
		`data-x="0.000000" data-w="0.750000" data-n="p.a"`, `data-x="0.000000" data-w="0.250000" data-n="p.b"`, `data-x="0.750000" data-w="0.250000" data-n="p.c"`,
		"top:18px", "100 ns per operation",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestGrowthHasASignAndAColour(t *testing.T) {
	page := draw(t, node("", 100, 120, node("grew", 50, 80), node("shrank", 50, 40)), Options{Title: "x", Metric: profdiff.Time, Sides: true})
	for _, want := range []string{"grew (&#43;30.0 % of all)", "shrank (-10.0 % of all)", "hsl(8 ", "hsl(215 "} {
		if !strings.Contains(page, want) && !strings.Contains(page, strings.ReplaceAll(want, "&#43;", "+")) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestANameNeverBecomesMarkup(t *testing.T) {
	page := draw(t, node("", 0, 1, node("<script>alert(1)</script>\x1b\"", 0, 1)), Options{Title: "<b>", Metric: profdiff.Time})
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "\x1b") || strings.Contains(page, "<b>") {
		t.Error("a name stands in the page as it is")
	}
}

func TestThePageAsksNobodyForAnything(t *testing.T) {
	page := draw(t, node("", 0, 1, node("a", 0, 1)), Options{Title: "x", Metric: profdiff.Time})
	if strings.Contains(page, "http:") || strings.Contains(page, "https:") || !strings.Contains(page, "default-src 'none'") {
		t.Error("the page refers to another place, or has no policy against it")
	}
}
