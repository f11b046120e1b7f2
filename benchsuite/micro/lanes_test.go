package micro

import (
	"context"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

// BenchmarkGroup routes an event through two levels of groups, of 16 instances
// each.
//
//perfgate:sizes gate full
func BenchmarkGroup(b *testing.B) {
	b.Run("instances=256", func(b *testing.B) {
		const each = 16
		applied, levels := 0, mir.Levels(48, 16)
		count := mir.ModuleFunc(func(mir.Event, *mir.Out) { applied++ })
		groups := mir.NewGroup(mir.GroupConfig[*mir.Group[mir.ModuleFunc]]{
			Level: levels[0], Window: each,
			New: func(_ uint64, sub mir.SubID, _ mir.Event) (*mir.Group[mir.ModuleFunc], bool) {
				return mir.NewGroup(mir.GroupConfig[mir.ModuleFunc]{
					Level: levels[1], Parent: sub, Window: each,
					New: func(uint64, mir.SubID, mir.Event) (mir.ModuleFunc, bool) { return count, true },
				}), true
			},
		})
		event := func(i int) mir.Event {
			return mir.Event{To: self, Sub: levels[1].Sub(levels[0].Sub(0, uint64(i/each%each)), uint64(i%each)), Body: ping{}}
		}
		var out mir.Out
		for i := range each * each {
			groups.Apply(event(i), &out)
		}
		applied = 0
		for i := 0; b.Loop(); i++ {
			groups.Apply(event(i), &out)
		}
		want(b, "events applied", applied, b.N)
	})
}

// BenchmarkLanes hands 64 events to a running node, whose module passes each on
// to a module in another lane, and waits until that has applied the last.
//
//perfgate:sizes gate full
func BenchmarkLanes(b *testing.B) {
	b.Run("events=64", func(b *testing.B) {
		const events = 64
		names := &mir.Names{}
		first, second := names.Intern("first"), names.Intern("second")
		applied, batch := 0, make(chan struct{}, 1)
		node, err := mir.NewNode(mir.NodeConfig{
			Names: names, Lanes: []mir.Lane{{Name: "second", Modules: []mir.ModuleID{second}}},
			Modules: []mir.Registration{
				{ID: first, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) { out.Emit(second, ev.Body) })},
				{ID: second, Module: mir.ModuleFunc(func(mir.Event, *mir.Out) {
					if applied++; applied%events == 0 {
						batch <- struct{}{}
					}
				})},
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		stop := startNode(b, node)
		all := make([]mir.Event, events)
		for i := range all {
			all[i] = mir.Event{To: first, Body: ping{}}
		}
		for b.Loop() {
			if err := node.Inject(context.Background(), all...); err != nil {
				b.Fatal(err)
			}
			<-batch
		}
		stop()
		want(b, "events applied", applied, events*b.N)
	})
}
