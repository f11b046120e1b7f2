// Package flame draws a call tree as a flame graph: one HTML page that needs
// nothing else, works offline, and asks nobody for anything.
//
// Its one opinion: the picture is plain HTML that can be read without its script,
// which only zooms and searches. The script and the style are allowed by their
// hashes, so that a function's name can never become code. Growth and its
// opposite are told by a sign as well as by a colour.
package flame

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/perfgate/perfgate/gate/profdiff"
)

//go:embed flame.js
var script string

//go:embed flame.css
var style string

// Options say what the picture shows.
type Options struct {
	Title  string
	Metric profdiff.Metric
	// Sides: both sides are there, and colours show the difference.
	Sides bool
}

const (
	// least is the part of the whole below which a function is not drawn.
	least = 1.0 / 2000
	// rowHeight is that of the style sheet, in pixels.
	rowHeight = 18
)

// HTML writes the page. The same tree gives the same bytes.
func HTML(w io.Writer, root *profdiff.Node, o Options) error {
	d := drawing{Options: o, total: weight(root, o.Sides), root: root}
	d.row(root.Children, 0, 0)
	var page strings.Builder
	fmt.Fprintf(&page, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src-elem '%s'; style-src-attr 'unsafe-inline'; script-src '%s'">
<title>%s</title>
<style>%s</style>
</head>
<body>
<header>
<h1>%s</h1>
<p>%s</p>
<p><label>Search <input id="search" type="search" autocomplete="off"></label> <button id="reset" type="button">Reset zoom</button> <output id="found"></output></p>
</header>
<div id="graph" role="tree" style="height:%dpx">
%s</div>
<script>%s</script>
</body>
</html>
`, hash(style), hash(script), clean(o.Title), style, clean(o.Title), clean(d.legend()), (d.depth+1)*rowHeight, d.out.String(), script)
	_, err := io.WriteString(w, page.String())
	return err
}

// hash is how a content security policy names the text of an element.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// clean makes text of unknown origin fit for the page.
func clean(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// drawing is a picture in the making.
type drawing struct {
	Options
	out   strings.Builder
	root  *profdiff.Node
	total float64
	depth int
}

// weight is the room that a node needs: the larger of its sides, or what its
// children need, since one of them may have grown and another shrunk.
func weight(n *profdiff.Node, sides bool) float64 {
	if !sides {
		return n.Base + n.Head
	}
	children := 0.0
	for _, c := range n.Children {
		children += weight(c, sides)
	}
	return math.Max(n.Weight(), children)
}

// row draws the children of a node from left, in parts of the whole.
func (d *drawing) row(nodes []*profdiff.Node, left float64, depth int) {
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, func(a, b *profdiff.Node) int { return cmp.Compare(a.Frame.Func(), b.Frame.Func()) })
	for _, n := range nodes {
		if d.total == 0 {
			return
		}
		width := weight(n, d.Sides) / d.total
		if width >= least {
			d.depth = max(d.depth, depth)
			d.frame(n, left, width, depth)
			d.row(n.Children, left, depth+1)
		}
		left += width
	}
}

func (d *drawing) frame(n *profdiff.Node, left, width float64, depth int) {
	name := n.Frame.Func()
	label := n.Frame.Name
	about := fmt.Sprintf("%s\n%s", name, d.amounts(n))
	if n.Frame.File != "" {
		about += "\n" + n.Frame.File
	}
	if change := d.change(n); change != "" {
		label += " " + change
	}
	fmt.Fprintf(&d.out, `<div role="treeitem" tabindex="0" data-x="%.6f" data-w="%.6f" data-n="%s" title="%s" style="left:%.4f%%;width:%.4f%%;top:%dpx;background:%s">%s</div>`+"\n",
		left, width, clean(name), clean(about), 100*left, 100*width, depth*rowHeight, d.colour(n), clean(label))
}

// amounts are the values of a node, for its tooltip.
func (d *drawing) amounts(n *profdiff.Node) string {
	if !d.Sides {
		v := n.Base + n.Head
		return fmt.Sprintf("%s %s, %.1f %%", profdiff.Format(v, d.Metric), d.Metric.Per(), 100*v/d.total)
	}
	return fmt.Sprintf("%s -> %s %s", profdiff.Format(n.Base, d.Metric), profdiff.Format(n.Head, d.Metric), d.Metric.Per())
}

// change says by how much a node grew, where that is a part of the whole that can
// be seen.
func (d *drawing) change(n *profdiff.Node) string {
	delta := n.Head - n.Base
	if !d.Sides || math.Abs(delta) < .005*d.total {
		return ""
	}
	return fmt.Sprintf("(%+.1f %% of all)", 100*delta/d.root.Base)
}

// colour is by package, or by growth: red and blue at an intensity that is the
// change's part of the whole.
func (d *drawing) colour(n *profdiff.Node) string {
	if !d.Sides {
		h := fnv.New32a()
		io.WriteString(h, n.Frame.Pkg)
		return fmt.Sprintf("hsl(%d 65%% 78%%)", h.Sum32()%360)
	}
	part := (n.Head - n.Base) / d.total
	strength := math.Min(1, math.Sqrt(math.Abs(part)*4))
	if math.Abs(part) < .001 {
		return "hsl(0 0% 88%)"
	}
	hue := 8
	if part < 0 {
		hue = 215
	}
	return fmt.Sprintf("hsl(%d %.0f%% %.0f%%)", hue, 30+60*strength, 90-25*strength)
}

func (d *drawing) legend() string {
	if d.Sides {
		return fmt.Sprintf("Base %s, head %s %s. Red grew, blue shrank; widths are the larger side. Click a function, or press Enter on it, to zoom.",
			profdiff.Format(d.root.Base, d.Metric), profdiff.Format(d.root.Head, d.Metric), d.Metric.Per())
	}
	return fmt.Sprintf("%s %s; colours are packages. Click a function, or press Enter on it, to zoom.", profdiff.Format(d.total, d.Metric), d.Metric.Per())
}
