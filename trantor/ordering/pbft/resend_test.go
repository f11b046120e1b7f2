package pbft

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Whatever kinds of message replica 3 misses, in any combination, it has the
// slot within three ticks of needing it. The decisions at least arrive.
func TestReplicaThatMissedMessagesDecidesWithinThreeTicks(t *testing.T) {
	kinds := []mir.Message{PrePrepare{}, Prepare{}, Commit{}}
	for missing := range 1 << len(kinds) {
		t.Run(fmt.Sprintf("%03b", missing), func(t *testing.T) {
			g := newGroup(t, 4, 1)
			g.lost = func(p packet) bool {
				for at, kind := range kinds {
					if missing>>at&1 == 1 && reflect.TypeOf(p.msg) == reflect.TypeOf(kind) {
						return p.to == 3
					}
				}
				return false
			}
			g.propose(0, 0, value(1))
			g.run()
			g.need(0, 3)
			g.settle(3)
			want := value(1)
			g.wantDecided(0, &want, 0, 1, 2, 3)
		})
	}
}

// The first message of each kind between any two replicas is lost; what is sent
// again arrives.
func TestEveryKindOfMessageIsSentAgain(t *testing.T) {
	for _, kind := range []mir.Message{PrePrepare{}, Prepare{}, Commit{}, ViewChange{}, NewView{}, Ask{}, Decision{}} {
		t.Run(kind.EventName(), func(t *testing.T) {
			g, lost := newGroup(t, 4, 2), map[string]bool{}
			g.lost = func(p packet) bool {
				link := fmt.Sprint(p.from, p.to)
				first := reflect.TypeOf(p.msg) == reflect.TypeOf(kind) && !lost[link]
				lost[link] = lost[link] || first
				return first
			}
			g.propose(0, 0, value(1))
			g.run()
			g.settle(3)
			g.need(4, 0, 1, 2, 3)
			g.expire(0, 1, 2) // Slot 4 is never proposed.
			g.run()
			g.settle(5)
			want := value(1)
			g.wantDecided(0, &want, 0, 1, 2, 3)
			g.wantDecided(4, &empty, 0, 1, 2, 3)
			if _, optional := kind.(Decision); len(lost) == 0 && !optional {
				t.Error("nothing was lost: the test shows nothing")
			}
		})
	}
}

// Fewer than f+1 have decided, so the others need the votes of those who did.
func TestReplicaThatDecidedAloneSendsItsVotesAgain(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return p.to == 3 || p.from == 3 || commit && p.to != 0
	}
	g.propose(0, 0, value(1))
	g.run()
	want := value(1)
	g.wantDecided(0, &want, 0)
	g.wantDecided(0, nil, 1, 2)
	g.lost = func(p packet) bool { return p.to == 3 || p.from == 3 }
	g.settle(3)
	g.wantDecided(0, &want, 0, 1, 2)
}

func TestResendOfOneSlot(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.lost = func(p packet) bool {
		_, commit := p.msg.(Commit)
		return p.to == 3 || commit && p.to == 2
	}
	g.propose(0, 0, value(1))
	g.run()
	g.lost = nil
	g.need(0, 3)
	g.settle(2)
	want := value(1)
	g.wantDecided(0, &want, 0, 1, 2, 3)
	g.checkTrace(`Nothing about slot 0 reaches replica 3, and no commit replica 2. Nobody says anything before
the second tick: the slot must have been needed for a whole one. Then replica 2 sends its
votes again and asks, and replica 3, which has no votes, asks. Those that have decided
answer with the decision and with their own votes, once for each tick.`)
}

func TestSlotIsNotSentAgainBeforeAWholeTick(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.need(0, 3)
	g.tick(3)
	g.need(4, 3)
	g.tick(3)
	if got, want := len(g.inFlight), 3; got != want {
		t.Fatalf("%d messages, want %d", got, want)
	}
	if got := g.inFlight[0].msg; !reflect.DeepEqual(got, Ask{Slots: []types.SeqNr{0}}) {
		t.Errorf("it sends %s", show(got))
	}
}

func TestQuietInstanceStopsTicking(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.propose(0, 0, value(1))
	g.run()
	g.tick(0, 1, 2, 3)
	for id, timers := range g.timers {
		if len(timers) > 0 {
			t.Errorf("replica %d still has timers %v", id, timers)
		}
	}
}

func TestQuestionsAreAnsweredOnceForEachTick(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.propose(0, 0, value(1))
	g.run()
	for range 3 {
		g.receive(0, 3, Ask{Slots: []types.SeqNr{0, 0}})
	}
	if s := g.stats[0]; s.Answered != 1 || s.TooOften != 2 || len(g.inFlight) != 3 {
		t.Errorf("%d answers, %d too often, %d messages, want 1, 2 and the decision with two votes", s.Answered, s.TooOften, len(g.inFlight))
	}
	g.tick(0)
	g.receive(0, 3, Ask{Slots: []types.SeqNr{0}})
	if got := g.stats[0].Answered; got != 2 {
		t.Errorf("%d answers after a tick, want 2", got)
	}
}

// No outage makes a tick send more than resendSlotsMax slots.
func TestTickIsBounded(t *testing.T) {
	g := newGroup(t, 4, resendSlotsMax+10)
	for at := range resendSlotsMax + 10 {
		g.propose(0, types.SeqNr(4*at), value(at))
	}
	g.inFlight = nil
	g.tick(0)
	g.tick(0)
	proposals, asked := 0, 0
	for _, p := range g.inFlight {
		switch m := p.msg.(type) {
		case PrePrepare:
			proposals++
		case Ask:
			asked += len(m.Slots)
		}
	}
	if want := 3 * resendSlotsMax; proposals != want || asked != want {
		t.Errorf("%d proposals sent again and %d slots asked for, want %d", proposals, asked, want)
	}
}

// A log that knows that others are ahead does not wait for a tick.
func TestMissedSlotsAreAskedForAtOnce(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.lost = func(p packet) bool { return p.to == 3 }
	g.propose(0, 0, value(1))
	g.propose(0, 4, value(2))
	g.run()
	g.lost = nil
	g.need(0, 3)
	g.need(4, 3)
	g.apply(3, types.SlotsMissed{})
	g.run()
	a, b := value(1), value(2)
	g.wantDecided(0, &a, 3)
	g.wantDecided(4, &b, 3)
}

// Memory for one slot, whatever f peers claim and vote: Config's arithmetic.
func TestFaultyPeersFillASlotOnlySoFar(t *testing.T) {
	g := newGroup(t, 4, 1)
	s := g.nodes[3].slots[0]
	g.nodes[3].view = 20
	for no := range 50 {
		g.receive(3, 1, Decision{Proposal: value(100 + no)})
		g.receive(3, 0, g.preprepare(0, 0, value(200+no)))
		g.receive(3, 1, Commit{View: types.View(no), Digest: digestOf(value(no))})
		g.receive(3, 1, g.prepare(1, types.View(no), 0, value(no)))
	}
	if got, most := len(s.values), 3; got != most { // Empty, claimed, proposed.
		t.Errorf("%d values are kept, want %d", got, most)
	}
	if got, most := len(s.rounds), viewsBehindMax+1+viewsAheadMax; got != most {
		t.Errorf("%d rounds are kept, want %d", got, most)
	}
}
