package mir_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/mir"
)

// echo is an instance that notes what it gets.
type echo struct {
	sub mir.SubID
	got []string
}

func (e *echo) Apply(ev mir.Event, _ *mir.Out) {
	e.got = append(e.got, fmt.Sprintf("%v by %d", ev.Body, ev.Sub))
}

func newEchos(window uint64) *mir.Group[*echo] {
	return mir.NewGroup(mir.GroupConfig[*echo]{
		Name: "echos", Level: mir.Level{Bits: 8}, Window: window,
		New: func(index uint64, sub mir.SubID, _ mir.Event) (*echo, bool) { return &echo{sub: sub}, index != 13 },
	})
}

func TestAnInstanceIsCreatedByItsFirstEventAndGetsAllOfThem(t *testing.T) {
	g := newEchos(8)
	if _, ok := g.Get(2); ok {
		t.Fatal("an instance exists that nobody asked for")
	}
	var out mir.Out
	for range 2 {
		g.Apply(mir.Event{Sub: g.Sub(2), Body: note("a")}, &out)
	}
	g.Apply(mir.Event{Sub: g.Sub(0), Body: note("b")}, &out)
	e, _ := g.Get(2)
	if want := []string{"a by 3", "a by 3"}; !slices.Equal(e.got, want) || e.sub != 3 {
		t.Errorf("instance %d got %q, want %q", e.sub, e.got, want)
	}
	var order []uint64
	for index := range g.All() {
		order = append(order, index)
	}
	if !slices.Equal(order, []uint64{0, 2}) || g.Len() != 2 || g.Stats() != (mir.GroupStats{Created: 2}) {
		t.Errorf("instances %v, counted %+v", order, g.Stats())
	}
}

func TestWhatReachesNoInstanceIsDroppedAndCounted(t *testing.T) {
	g := newEchos(16)
	var collected []uint64
	for index := range uint64(6) {
		g.Open(index, mir.Event{})
	}
	g.Collect(4, func(index uint64, _ *echo) { collected = append(collected, index) })
	g.Collect(2, nil) // The window never moves back.
	apply := func(sub mir.SubID) {
		g.Apply(mir.Event{Sub: sub, Body: mir.Received{From: 1, Msg: note("x")}}, &mir.Out{})
	}
	apply(g.Sub(3))
	apply(g.Sub(20)) // The first beyond 4+16-1.
	apply(g.Sub(19))
	apply(g.Sub(13)) // Which New refuses, as often as it is asked.
	apply(g.Sub(13))
	apply(0)
	want := mir.GroupStats{Created: 7, Collected: 4, Gone: 1, TooFar: 1, Refused: 2, Unaddressed: 1}
	if got := g.Stats(); got != want || g.First() != 4 || g.Len() != 3 {
		t.Errorf("from %d on %d instances, counted %+v, want %+v", g.First(), g.Len(), got, want)
	}
	if !slices.Equal(collected, []uint64{0, 1, 2, 3}) {
		t.Errorf("collected %v, want 0 to 3 in order", collected)
	}
	g.Collect(1000, nil)
	if g.Len() != 0 {
		t.Errorf("%d instances are left below 1000", g.Len())
	}
	apply(g.Sub(254)) // The window has moved past all indexes that the level has bits for.
	if g.Stats().Gone != 2 {
		t.Errorf("counted %+v, want two gone", g.Stats())
	}
}

func TestAWindowAtTheEndOfTheIndexesDoesNotWrapAround(t *testing.T) {
	g := mir.NewGroup(mir.GroupConfig[*echo]{
		Name: "echos", Level: mir.Level{Bits: 64}, Window: math.MaxUint64,
		New: func(uint64, mir.SubID, mir.Event) (*echo, bool) { return &echo{}, true },
	})
	const last = math.MaxUint64 - 1
	g.Collect(last, nil)
	for _, index := range []uint64{0, last - 1, last, math.MaxUint64} {
		if _, ok := g.Open(index, mir.Event{}); ok != (index == last) {
			t.Errorf("instance %d: created %v", index, ok)
		}
	}
}

func TestLevelsDivideASubIDWithoutOverlap(t *testing.T) {
	levels := mir.Levels(40, 16, 8)
	if want := []mir.Level{{Shift: 24, Bits: 40}, {Shift: 8, Bits: 16}, {Shift: 0, Bits: 8}}; !slices.Equal(levels, want) {
		t.Fatalf("levels %v, want %v", levels, want)
	}
	indexes := []uint64{1<<40 - 2, 0, 1<<8 - 2}
	sub := mir.SubID(0)
	for i, level := range levels {
		if _, ok := level.Index(sub); ok {
			t.Errorf("level %d has an index in %x, which ends above it", i, sub)
		}
		sub = level.Sub(sub, indexes[i])
	}
	for i, level := range levels {
		if got, ok := level.Index(sub); !ok || got != indexes[i] {
			t.Errorf("level %d of %x is %d %v, want %d", i, sub, got, ok, indexes[i])
		}
	}
}

func TestWrongGroupsAndLevelsPanic(t *testing.T) {
	create := func(uint64, mir.SubID, mir.Event) (*echo, bool) { return &echo{}, true }
	for name, do := range map[string]func(){
		"too many bits":       func() { mir.Levels(60, 5) },
		"an empty level":      func() { mir.Levels(8, 0) },
		"index without bits":  func() { mir.Level{Bits: 8}.Sub(0, 255) },
		"no window":           func() { mir.NewGroup(mir.GroupConfig[*echo]{Level: mir.Level{Bits: 8}, New: create}) },
		"no factory":          func() { mir.NewGroup(mir.GroupConfig[*echo]{Level: mir.Level{Bits: 8}, Window: 1}) },
		"no level":            func() { mir.NewGroup(mir.GroupConfig[*echo]{Window: 1, New: create}) },
		"own event to itself": func() { newEchos(1).Apply(mir.Event{Body: note("lost")}, &mir.Out{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			do()
		}()
	}
}
