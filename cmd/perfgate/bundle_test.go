package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/perfgate/perfgate/gate/recording"
)

var addKey = recording.Key{Pkg: "example.org/shop/cart", Name: "BenchmarkAdd/items=10", Procs: 1}

// bundle writes a recorded bundle: bundle DIR [slower|allocates|crashed|dirty|profiled|suite=NAME|class=ID|shard=I/N|base=REF|head=REF]...
// Commits are those of the script's repository where it names them. Without words nothing changed between its sides. Its numbers come from no
// clock, so that what is printed of it is always the same.
func bundle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: bundle DIR WORD...")
	}
	words := args[1:]
	for i, word := range words {
		if side, ref, ok := strings.Cut(word, "="); ok && (side == "base" || side == "head") {
			ts.Check(ts.Exec("git", "rev-parse", "--verify", ref))
			words[i] = side + "=" + strings.TrimSpace(ts.ReadFile("stdout"))
		}
	}
	ts.Check(writeBundle(ts.MkAbs(args[0]), words...))
}

func writeBundle(dir string, words ...string) error {
	b := recording.Bundle{Manifest: recording.Manifest{
		Schema: recording.Schema, Tool: "perfgate v0.1.0", Command: "local", Module: "example.org/shop", Suite: "smoke",
		Base:       recording.Revision{Ref: "main", Commit: strings.Repeat("1", 40), Tree: strings.Repeat("a", 40)},
		Head:       recording.Revision{Ref: "working tree", Commit: strings.Repeat("2", 40), Tree: strings.Repeat("b", 40)},
		BaseReason: "merge base with main", Toolchain: "go1.26.0", BuildFlags: []string{"-trimpath"},
		Machine: recording.Machine{ClassID: "c0ffee", Class: map[string]string{"cores": "2", "cpu": "Example CPU", "goos": "linux", "goarch": "amd64"}},
		Units:   map[string]recording.Unit{"msgs/op": {Better: "lower", Assume: "exact"}},
		Benchmarks: []recording.Benchmark{
			{Key: addKey, Channel: recording.CoRun, Reason: "CPU-bound", N: 1000, ExactN: 1000}},
		Family: []recording.Test{
			{Key: addKey, Unit: "allocs/op", Channel: recording.Exact},
			{Key: addKey, Unit: "msgs/op", Channel: recording.Exact},
			{Key: addKey, Unit: "cpu-sec/op", Channel: recording.CoRun},
		},
		WallSeconds: 12, CPUSeconds: 20,
	}}
	ratio, allocs, key := 1.0, 3.0, addKey
	for _, word := range words {
		switch {
		case word == "slower":
			ratio = 1.2
		case word == "allocates":
			allocs = 5
		case word == "crashed":
			b.Manifest.Outcomes = []recording.Outcome{{
				Key: recording.Key{Pkg: addKey.Pkg, Name: "BenchmarkBroken", Procs: 1}, Side: recording.Head, Kind: recording.Crashed, Detail: "panic: broken"}}
		case word == "profiled":
			if err := addProfiles(&b); err != nil {
				return err
			}
		case word == "dirty":
			b.Manifest.Head.Dirty = true
		case strings.HasPrefix(word, "base="):
			b.Manifest.Base.Commit = strings.TrimPrefix(word, "base=")
		case strings.HasPrefix(word, "head="):
			b.Manifest.Head.Commit = strings.TrimPrefix(word, "head=")
		case strings.HasPrefix(word, "suite="):
			b.Manifest.Suite = strings.TrimPrefix(word, "suite=")
		case strings.HasPrefix(word, "class="):
			b.Manifest.Machine.ClassID = strings.TrimPrefix(word, "class=")
		case strings.HasPrefix(word, "shard="):
			key = inShard(&b.Manifest, strings.TrimPrefix(word, "shard="))
		default:
			return fmt.Errorf("bundle: unknown word %q", word)
		}
	}
	b.Samples = samples(ratio, allocs)
	for i := range b.Samples {
		b.Samples[i].Key = key
	}
	return recording.Write(dir, b)
}

// addProfiles gives the head side CPU profiles: those of a benchmark of this
// repository, so that the module has to be this one.
func addProfiles(b *recording.Bundle) error {
	b.Manifest.Module = "github.com/perfgate/perfgate"
	for rep := 1; rep <= 8; rep++ {
		data, err := os.ReadFile(fmt.Sprintf("../../gate/bottleneck/testdata/stations/cpu-%d.pb.gz", rep))
		if err != nil {
			return err
		}
		b.AddProfile(recording.Profile{Side: recording.Head, Key: addKey, Kind: recording.CPUProfile, Rep: rep, N: 1000}, data)
	}
	return nil
}

// inShard makes the manifest that of shard "I/N", in which the benchmark has a
// name of its own.
func inShard(m *recording.Manifest, shard string) recording.Key {
	m.Shard = &recording.Shard{FamilyMin: 30}
	if _, err := fmt.Sscanf(shard, "%d/%d", &m.Shard.Index, &m.Shard.Count); err != nil {
		panic(err)
	}
	key := addKey
	key.Name = fmt.Sprintf("BenchmarkAdd/items=%d", 10*m.Shard.Index)
	m.Benchmarks[0].Key = key
	for i := range m.Family {
		m.Family[i].Key = key
	}
	return key
}

// samples are 60 pairs whose times wobble by up to 1.5 % without any direction,
// and as many exact runs as confirm a difference.
func samples(ratio, allocs float64) []recording.Sample {
	var out []recording.Sample
	run := func(side recording.Side, channel recording.Channel, pair int, values ...recording.Value) {
		out = append(out, recording.Sample{Side: side, Channel: channel, Key: addKey, Pair: pair, Round: pair, Order: 1 + pair%2, Core: pair % 2, N: 1000, Values: values})
	}
	for pair := 1; pair <= 60; pair++ {
		weather := 1 + float64(pair*37%11)/100 // both sides meet it
		wobble := 1 + float64(pair*5%7-3)/200
		run(recording.Base, recording.CoRun, pair, recording.Value{Unit: "cpu-sec/op", Value: round(1e-6 * weather)})
		run(recording.Head, recording.CoRun, pair, recording.Value{Unit: "cpu-sec/op", Value: round(1e-6 * weather * wobble * ratio)})
	}
	for pair := 1; pair <= 10; pair++ {
		run(recording.Base, recording.Exact, pair, recording.Value{Unit: "allocs/op", Value: 3}, recording.Value{Unit: "msgs/op", Value: 7})
		run(recording.Head, recording.Exact, pair, recording.Value{Unit: "allocs/op", Value: allocs}, recording.Value{Unit: "msgs/op", Value: 7})
	}
	return out
}

// round keeps six digits, as a benchmark prints them.
func round(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'e', 5, 64), 64)
	if err != nil {
		panic("a formatted number is none: " + err.Error())
	}
	return y
}
