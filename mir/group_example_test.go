package mir_test

import (
	"fmt"

	"github.com/perfgate/perfgate/mir"
)

// vote is the message of the example's instances.
type vote struct{ yes bool }

func (vote) EventName() string { return "example.Vote" }

// tally counts the votes on one slot of one epoch.
type tally struct{ yes int }

func (t *tally) Apply(ev mir.Event, _ *mir.Out) {
	if received, ok := ev.Body.(mir.Received); ok && received.Msg.(vote).yes {
		t.yes++
	}
}

// A log of epochs, each with a few slots: a group of groups. The outer level has
// 48 bits of the SubID, the inner one 16.
func ExampleGroup() {
	levels := mir.Levels(48, 16)
	epochs := mir.NewGroup(mir.GroupConfig[*mir.Group[*tally]]{
		Name: "epochs", Level: levels[0],
		Window: 2, // The current epoch and the next.
		New: func(_ uint64, sub mir.SubID, _ mir.Event) (*mir.Group[*tally], bool) {
			return mir.NewGroup(mir.GroupConfig[*tally]{
				Name: "slots", Level: levels[1], Parent: sub,
				Window: 4, // Slots of an epoch.
				New:    func(uint64, mir.SubID, mir.Event) (*tally, bool) { return &tally{}, true },
			}), true
		},
	})

	// Peers vote on slot 3 of epochs 0 and 1, and one on epoch 9.
	for _, epoch := range []uint64{0, 1, 1, 9} {
		sub := levels[1].Sub(levels[0].Sub(0, epoch), 3)
		epochs.Apply(mir.Event{Sub: sub, Body: mir.Received{From: 1, Msg: vote{yes: true}}}, &mir.Out{})
	}
	epochs.Collect(1, nil) // Epoch 0 is over.

	for epoch, slots := range epochs.All() {
		for slot, t := range slots.All() {
			fmt.Printf("epoch %d, slot %d: %d votes\n", epoch, slot, t.yes)
		}
	}
	fmt.Printf("%+v\n", epochs.Stats())
	// Output:
	// epoch 1, slot 3: 2 votes
	// {Created:2 Collected:1 Gone:0 TooFar:1 Refused:0 Unaddressed:0}
}
