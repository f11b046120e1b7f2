package cli

import (
	"reflect"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

func TestReplicatesOfABundleGetPartsOfItsRuns(t *testing.T) {
	key := recording.Key{Pkg: "p", Name: "BenchmarkX", Procs: 2}
	b := &recording.Bundle{}
	add := func(side recording.Side, channel recording.Channel, values ...float64) {
		for _, v := range values {
			b.Samples = append(b.Samples, recording.Sample{Side: side, Key: key, Channel: channel, Values: []recording.Value{{Unit: "sec/op", Value: v}}})
		}
	}
	add(recording.Base, recording.Wall, 9, 9, 9)
	add(recording.Head, recording.CoRun, 8, 8, 8)
	add(recording.Head, recording.Wall, 1, 2, 3, 6, 5)
	of := func(v float64) []recording.Value { return []recording.Value{{Unit: "sec/op", Value: v}} }
	// Runs 1, 3, 5 are the first part and 2, 4 the second.
	if got, want := parts(b, recording.Head, key, 2), [][]recording.Value{of(3), of(4)}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := parts(b, recording.Head, key, 6), [][]recording.Value{of(1), of(2), of(3), of(6), of(5), of(1)}; !reflect.DeepEqual(got, want) {
		t.Errorf("5 runs in 6 parts: %v, want %v", got, want)
	}
	if got := parts(b, recording.Head, recording.Key{Pkg: "p", Name: "BenchmarkY"}, 1); got != nil {
		t.Errorf("another benchmark's runs: %v", got)
	}
}
