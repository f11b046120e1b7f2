package mir_test

import (
	"context"
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// work and result are events between two modules of one node.
type (
	work   struct{ n int }
	result struct{ square int }
)

func (work) EventName() string   { return "example.Work" }
func (result) EventName() string { return "example.Result" }

// The module "squares" works in a lane of its own, beside the loop. Neither
// module knows: without Lanes the node prints the same.
func ExampleLane() {
	var names mir.Names
	front, squares := names.Intern("front"), names.Intern("squares")
	done := make(chan struct{})
	node, err := mir.NewNode(mir.NodeConfig{
		Names: &names,
		Lanes: []mir.Lane{{Name: "heavy", Modules: []mir.ModuleID{squares}}},
		Modules: []mir.Registration{
			{ID: front, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
				switch body := ev.Body.(type) {
				case work:
					out.Emit(squares, body)
				case result:
					fmt.Println(body.square)
					if body.square == 9 {
						close(done)
					}
				}
			})},
			{ID: squares, Module: mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
				n := ev.Body.(work).n
				out.Emit(front, result{square: n * n})
			})},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- node.Run(ctx) }()
	for n := 1; n <= 3; n++ {
		if err := node.Inject(ctx, mir.Event{To: front, Body: work{n: n}}); err != nil {
			fmt.Println(err)
		}
	}
	<-done
	stop()
	if err := <-stopped; err != nil {
		fmt.Println(err)
	}
	for _, lane := range node.LaneCounters() {
		fmt.Println("lane", lane.Name, "has", lane.Queued, "events left")
	}
	// Output:
	// 1
	// 4
	// 9
	// lane heavy has 0 events left
	// lane loop has 0 events left
}
