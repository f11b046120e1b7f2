package recording

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

const (
	// profileBytesMax bounds a profile in a bundle, and profileRawMax what it
	// unpacks to: a compacted profile of 10,000 stacks has about 2 MiB.
	profileBytesMax = 2 << 20
	profileRawMax   = 8 << 20
)

// DecodeProfile reads one profile of a bundle. Somebody else may have written the
// bundle, so what it unpacks to is bounded, and it is checked to be consistent.
func DecodeProfile(data []byte) (*profile.Profile, error) {
	if len(data) > profileBytesMax {
		return nil, fmt.Errorf("a profile of %d bytes, more than %d", len(data), profileBytesMax)
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		unpacked, err := gunzip(data)
		if err != nil {
			return nil, fmt.Errorf("unpacking a profile: %w", err)
		}
		data = unpacked
	}
	p, err := profile.ParseUncompressed(data)
	if err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		return nil, fmt.Errorf("reading a profile: %w", err)
	}
	return p, nil
}

func gunzip(data []byte) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(zr, profileRawMax+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > profileRawMax {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", profileRawMax)
	}
	return raw, nil
}

// CompactProfile makes a profile of a Go process small and the same on every
// machine: functions and lines stay, and addresses, mappings, times and what
// was in use at the end of the run go. Stacks that are then equal are added up,
// and those that hold less than a ten-thousandth of everything are left out: what
// a process allocates while it starts is most of its stacks.
//
// before is what the process had counted when the part that matters began, and is
// subtracted; nil for nothing. rest is further parts of the same run, which are
// added.
func CompactProfile(raw, before []byte, rest ...[]byte) ([]byte, error) {
	p, err := profile.ParseData(raw)
	if err != nil {
		return nil, fmt.Errorf("reading a profile: %w", err)
	}
	if before != nil {
		if p, err = since(p, before); err != nil {
			return nil, err
		}
	}
	p.Sample = slices.DeleteFunc(p.Sample, profilers)
	for _, r := range rest {
		more, err := profile.ParseData(r)
		if err == nil {
			more.Sample = slices.DeleteFunc(more.Sample, profilers)
			p, err = profile.Merge([]*profile.Profile{p, more})
		}
		if err != nil {
			return nil, fmt.Errorf("adding a part of a profile: %w", err)
		}
	}
	data, err := EncodeProfile(compact(p))
	if err != nil {
		return nil, err
	}
	// What cannot be read again must show now: a bundle with it would be lost.
	if _, err := DecodeProfile(data); err != nil {
		return nil, err
	}
	return data, nil
}

// profilerFrame begins the names of the functions that take the profiles (hook in
// gate/measure). What they allocate while they write the earlier one is in the
// later one, and is not the benchmark's.
const profilerFrame = "testing.(*perfgateProfiler)."

// since subtracts an earlier profile of the same process.
func since(p *profile.Profile, before []byte) (*profile.Profile, error) {
	earlier, err := profile.ParseData(before)
	if err != nil {
		return nil, fmt.Errorf("reading the profile before: %w", err)
	}
	earlier.Scale(-1)
	p, err = profile.Merge([]*profile.Profile{p, earlier})
	if err != nil {
		return nil, fmt.Errorf("subtracting the profile before: %w", err)
	}
	return p, nil
}

// profilers tells whether a sample is of the profiler's own work.
func profilers(s *profile.Sample) bool {
	for _, at := range s.Location {
		for _, line := range at.Line {
			if line.Function != nil && strings.HasPrefix(line.Function.Name, profilerFrame) {
				return true
			}
		}
	}
	return false
}

// EncodeProfile is the form of a profile in a bundle.
func EncodeProfile(p *profile.Profile) ([]byte, error) {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := p.WriteUncompressed(zw); err != nil {
		return nil, fmt.Errorf("writing a profile: %w", err)
	}
	if err := zw.Close(); err != nil {
		return nil, fmt.Errorf("writing a profile: %w", err)
	}
	return buf.Bytes(), nil
}

// compactor builds the small profile. Equal things are told apart by the text of
// what distinguishes them.
type compactor struct {
	out       *profile.Profile
	keep      []int // indexes of the sample types that stay
	functions map[string]*profile.Function
	locations map[string]*profile.Location
	samples   map[string]*profile.Sample
}

func compact(p *profile.Profile) *profile.Profile {
	c := &compactor{
		out:       &profile.Profile{PeriodType: p.PeriodType, Period: p.Period},
		functions: map[string]*profile.Function{}, locations: map[string]*profile.Location{}, samples: map[string]*profile.Sample{},
	}
	for i, t := range p.SampleType {
		if !strings.HasPrefix(t.Type, "inuse_") {
			c.keep = append(c.keep, i)
			c.out.SampleType = append(c.out.SampleType, t)
		}
	}
	least := c.least(p)
	for _, s := range p.Sample {
		for _, i := range c.keep {
			if s.Value[i] > least[i] {
				c.add(s)
				break
			}
		}
	}
	return c.out
}

// least is what a stack has to exceed in some metric, by sample type.
func (c *compactor) least(p *profile.Profile) []int64 {
	const part = 10_000
	least := make([]int64, len(p.SampleType))
	for _, s := range p.Sample {
		for i, v := range s.Value {
			least[i] += v
		}
	}
	for i := range least {
		least[i] /= part
	}
	return least
}

func (c *compactor) add(s *profile.Sample) {
	small := &profile.Sample{Label: s.Label}
	for _, i := range c.keep {
		small.Value = append(small.Value, s.Value[i])
	}
	var id strings.Builder
	for _, l := range s.Location {
		if loc := c.location(l); loc != nil {
			small.Location = append(small.Location, loc)
			fmt.Fprintf(&id, "%d ", loc.ID)
		}
	}
	for _, label := range sortedLabels(s.Label) {
		fmt.Fprintf(&id, "%q=%q ", label, s.Label[label])
	}
	if have := c.samples[id.String()]; have != nil {
		for i, v := range small.Value {
			have.Value[i] += v
		}
		return
	}
	c.samples[id.String()] = small
	c.out.Sample = append(c.out.Sample, small)
}

// location is the place of l in the small profile; nil where nobody knows what
// function it is in.
func (c *compactor) location(l *profile.Location) *profile.Location {
	small := &profile.Location{}
	var id strings.Builder
	for _, line := range l.Line {
		if line.Function == nil {
			continue
		}
		f := c.function(line.Function)
		small.Line = append(small.Line, profile.Line{Function: f, Line: line.Line})
		fmt.Fprintf(&id, "%d:%d ", f.ID, line.Line)
	}
	if len(small.Line) == 0 {
		return nil
	}
	if have := c.locations[id.String()]; have != nil {
		return have
	}
	small.ID = uint64(len(c.out.Location) + 1)
	c.locations[id.String()] = small
	c.out.Location = append(c.out.Location, small)
	return small
}

func (c *compactor) function(f *profile.Function) *profile.Function {
	id := fmt.Sprintf("%s\x00%s\x00%d", f.Name, f.Filename, f.StartLine)
	if have := c.functions[id]; have != nil {
		return have
	}
	small := &profile.Function{ID: uint64(len(c.out.Function) + 1), Name: f.Name, Filename: f.Filename, StartLine: f.StartLine}
	c.functions[id] = small
	c.out.Function = append(c.out.Function, small)
	return small
}

func sortedLabels(labels map[string][]string) []string {
	names := make([]string, 0, len(labels))
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
