package profdiff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// Profile is the difference as a profile that pprof shows: the head side's
// values, and the base side's negative, as if both had done the same number of
// operations. With one side only it is that side's profiles added up.
func Profile(base, head []Run) (*profile.Profile, error) {
	if len(base)+len(head) == 0 {
		return nil, ErrEmpty
	}
	scale := -1.0
	if len(base) > 0 && len(head) > 0 {
		scale = -runOps(head) / runOps(base)
	}
	var all []*profile.Profile
	for _, r := range base {
		p := r.Profile.Copy()
		if len(head) > 0 {
			p.Scale(scale)
		}
		all = append(all, p)
	}
	for _, r := range head {
		all = append(all, r.Profile)
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return nil, fmt.Errorf("merging profiles: %w", err)
	}
	return merged, nil
}

func runOps(runs []Run) float64 {
	total := 0.0
	for _, r := range runs {
		total += float64(r.N)
	}
	return total
}

// path is the stack from the root to the leaf.
func (d *Data) path(s *Stack) []string {
	names := make([]string, len(s.Frames))
	for i, f := range s.Frames {
		names[len(s.Frames)-1-i] = d.Frames[f].Func()
	}
	return names
}

// Folded is one line for each stack, "root;...;leaf BASE HEAD", the form that
// difference flame graphs are made of; with one side only "root;...;leaf VALUE".
// The values of the base side are scaled to the operations of the head side.
func (d *Data) Folded() []byte {
	scale := d.toHead()
	lines := map[string][2]float64{}
	for i := range d.Stacks {
		s := &d.Stacks[i]
		// A stack of several labels is one line.
		at := strings.Join(d.path(s), ";")
		v := lines[at]
		v[Base] += sum(s.Value[Base]) * scale
		v[Head] += sum(s.Value[Head])
		lines[at] = v
	}
	names := make([]string, 0, len(lines))
	// maprange: sorted below
	for at := range lines {
		names = append(names, at)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, at := range names {
		v := lines[at]
		switch runs := d.Runs(); {
		case runs[Base] == 0:
			fmt.Fprintf(&b, "%s %.0f\n", at, v[Head])
		case runs[Head] == 0:
			fmt.Fprintf(&b, "%s %.0f\n", at, v[Base])
		default:
			fmt.Fprintf(&b, "%s %.0f %.0f\n", at, v[Base], v[Head])
		}
	}
	return b.Bytes()
}

// toHead is what the base side's values are multiplied by to be those of as
// many operations as the head side did.
func (d *Data) toHead() float64 {
	if base, head := ops(d.N[Base]), ops(d.N[Head]); base > 0 && head > 0 {
		return head / base
	}
	return 1
}

// Speedscope is the file that speedscope.app opens: one profile for each side,
// with the weights of one operation.
func (d *Data) Speedscope(title string) ([]byte, error) {
	type frame struct {
		Name string `json:"name"`
		File string `json:"file,omitempty"`
		Line int    `json:"line,omitempty"`
	}
	type sampled struct {
		Type       string    `json:"type"`
		Name       string    `json:"name"`
		Unit       string    `json:"unit"`
		StartValue float64   `json:"startValue"`
		EndValue   float64   `json:"endValue"`
		Samples    [][]int   `json:"samples"`
		Weights    []float64 `json:"weights"`
	}
	var file struct {
		Schema string `json:"$schema"`
		Name   string `json:"name"`
		Shared struct {
			Frames []frame `json:"frames"`
		} `json:"shared"`
		Profiles []sampled `json:"profiles"`
	}
	file.Schema, file.Name = "https://www.speedscope.app/file-format-schema.json", title
	file.Shared.Frames = []frame{}
	for _, f := range d.Frames {
		file.Shared.Frames = append(file.Shared.Frames, frame{f.Func(), f.File, f.Line})
	}
	units := map[Metric]string{Time: "nanoseconds", Bytes: "bytes", Objects: "none", Goroutines: "none"}
	for side, name := range []string{"base", "head"} {
		if len(d.N[side]) == 0 {
			continue
		}
		p := sampled{Type: "sampled", Name: name, Unit: units[d.Metric], Samples: [][]int{}, Weights: []float64{}}
		for i := range d.Stacks {
			s := &d.Stacks[i]
			weight := d.PerOp(&s.Tally, side)
			if weight == 0 {
				continue
			}
			rootFirst := slices.Clone(s.Frames)
			slices.Reverse(rootFirst)
			p.Samples, p.Weights = append(p.Samples, rootFirst), append(p.Weights, weight)
			p.EndValue += weight
		}
		file.Profiles = append(file.Profiles, p)
	}
	data, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing speedscope: %w", err)
	}
	return append(data, '\n'), nil
}

// Node is a function at its place in the call tree, with the metric
// of each side, per operation or at a time, callees included.
type Node struct {
	Frame      Frame
	Base, Head float64
	Children   []*Node // ordered by name
}

// Tree joins the stacks into one call tree, below a root without a name. The head
// side is divided by factor (Result.Factor).
func (d *Data) Tree(factor float64) *Node {
	root := &Node{}
	for i := range d.Stacks {
		s := &d.Stacks[i]
		base, head := d.PerOp(&s.Tally, Base), d.PerOp(&s.Tally, Head)/factor
		at := root
		at.Base, at.Head = at.Base+base, at.Head+head
		for _, f := range slices.Backward(s.Frames) {
			at = at.child(d.Frames[f])
			at.Base, at.Head = at.Base+base, at.Head+head
		}
	}
	return root
}

// child is the node of f below n. Children stay sorted.
func (n *Node) child(f Frame) *Node {
	name := f.Func()
	at, ok := slices.BinarySearchFunc(n.Children, name, func(c *Node, name string) int { return strings.Compare(c.Frame.Func(), name) })
	if !ok {
		n.Children = slices.Insert(n.Children, at, &Node{Frame: f})
	}
	return n.Children[at]
}

// Weight is what a drawing gives the node room for.
func (n *Node) Weight() float64 { return math.Max(n.Base, n.Head) }
