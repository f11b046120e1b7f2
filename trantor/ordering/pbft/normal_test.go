package pbft

import (
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// CL02, section 4.3.
func TestNormalCaseDecides(t *testing.T) {
	g := newGroup(t, 4, 2)
	g.propose(0, 0, value(1))
	g.run()
	want := value(1)
	g.wantDecided(0, &want, 0, 1, 2, 3)
	g.wantDecided(4, nil, 0, 1, 2, 3)
	g.checkTrace(`The normal case: pre-prepare, prepare, commit, and a decision at all four replicas.
Lines with > are inputs of the test; all else follows from them, delivered in order of sending.`)
}

func TestSlotsOfASegmentAreDecidedInParallel(t *testing.T) {
	g := newGroup(t, 4, 3)
	g.lost = func(p packet) bool {
		m, ok := p.msg.(PrePrepare)
		return ok && m.Seq == 0
	}
	for at := range 3 {
		g.propose(0, types.SeqNr(4*at), value(at))
	}
	g.run()
	for at := 1; at < 3; at++ {
		want := value(at)
		g.wantDecided(types.SeqNr(4*at), &want, 0, 1, 2, 3)
	}
	g.wantDecided(0, nil, 0, 1, 2, 3)
}

func TestSingleReplicaDecidesAtOnce(t *testing.T) {
	g := newGroup(t, 1, 1)
	g.propose(0, 0, value(5))
	want := value(5)
	g.wantDecided(0, &want, 0)
	if len(g.inFlight) > 0 || g.patience(0) != nil {
		t.Errorf("a single replica sent %d messages, timers %v", len(g.inFlight), g.timers[0])
	}
}

func TestQuorumMinusOneDoesNotDecide(t *testing.T) {
	for _, tc := range []struct {
		name    string
		weights []uint64
		silent  []types.NodeID
	}{
		{"equal weights", []uint64{1, 1, 1, 1}, []types.NodeID{2, 3}},
		// Total 8, f = 2, quorum 6: the three light ones with 0 weigh 5.
		{"one heavy replica", []uint64{2, 3, 1, 1, 1}, []types.NodeID{1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			members, err := quorum.New(tc.weights)
			if err != nil {
				t.Fatal(err)
			}
			g := newWeightedGroup(t, members, 1)
			g.lost = func(p packet) bool {
				for _, id := range tc.silent {
					if p.from == id || p.to == id {
						return true
					}
				}
				return false
			}
			g.propose(0, 0, value(1))
			g.run()
			for id := range g.nodes {
				g.wantDecided(0, nil, types.NodeID(id))
			}
		})
	}
}

func TestCommitQuorumOfOneViewOnlyDecides(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	d := digestOf(value(1))
	g.receive(3, 0, Commit{View: 0, Digest: d})
	g.receive(3, 1, Commit{View: 1, Digest: d})
	g.receive(3, 2, Commit{View: 2, Digest: d})
	g.wantDecided(0, nil, 3)
	g.receive(3, 0, Commit{View: 1, Digest: d})
	g.receive(3, 2, Commit{View: 1, Digest: d})
	want := value(1)
	g.wantDecided(0, &want, 3)
}

func TestCommitsWaitForTheirValue(t *testing.T) {
	g := newGroup(t, 4, 1)
	d := digestOf(value(1))
	for _, from := range []types.NodeID{0, 1, 2} {
		g.receive(3, from, Commit{View: 0, Digest: d})
	}
	g.wantDecided(0, nil, 3)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	want := value(1)
	g.wantDecided(0, &want, 3)
}

func TestStaleAndRepeatedVotesChangeNothing(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	for range 3 {
		g.receive(3, 1, g.prepare(1, 0, 0, value(1)))
		g.receive(3, 1, Commit{View: 0, Digest: digestOf(value(1))})
		g.receive(3, 0, g.preprepare(0, 0, value(1)))
	}
	g.wantDecided(0, nil, 3) // Its own commit and that of replica 1.
	g.receive(3, 2, Commit{View: 0, Digest: digestOf(value(1))})
	want := value(1)
	g.wantDecided(0, &want, 3)
}

func TestSecondVoteOfAReplicaIsNotCounted(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 0, g.preprepare(0, 0, value(1)))
	g.receive(3, 1, g.prepare(1, 0, 0, value(2)))
	g.receive(3, 1, g.prepare(1, 0, 0, value(1)))
	g.receive(3, 1, Commit{View: 0, Digest: digestOf(value(2))})
	g.receive(3, 1, Commit{View: 0, Digest: digestOf(value(1))})
	g.receive(3, 0, g.preprepare(0, 0, value(2)))
	if got, want := *g.stats[3], (Stats{Equivocation: 3}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	for _, p := range g.inFlight {
		if _, committed := p.msg.(Commit); committed {
			t.Error("the second vote of replica 1 made a quorum")
		}
	}
}

func TestBadMessagesAreDroppedAndCounted(t *testing.T) {
	for _, tc := range []struct {
		name string
		from types.NodeID
		msg  func(g *group) mir.Message
		want Stats
	}{
		{"stranger", 4, func(g *group) mir.Message { return Commit{} }, Stats{Stranger: 1}},
		{"other type", 0, func(g *group) mir.Message { return mir.Received{} }, Stats{Malformed: 1}},
		{"pre-prepare not from the leader", 1, func(g *group) mir.Message { return g.preprepare(1, 0, value(1)) }, Stats{Stranger: 1}},
		{"pre-prepare of another's slot", 0, func(g *group) mir.Message { return g.preprepare(0, 1, value(1)) }, Stats{Malformed: 1}},
		{"pre-prepare signed by another", 0, func(g *group) mir.Message { return g.preprepare(1, 0, value(1)) }, Stats{BadSignature: 1}},
		{"invalid proposal", 0, func(g *group) mir.Message { return g.preprepare(0, 0, value(99)) }, Stats{Invalid: 1}},
		{"empty proposal of a leader", 0, func(g *group) mir.Message { return g.preprepare(0, 0, empty) }, Stats{Invalid: 1}},
		{"proposal with too many certificates", 0, func(g *group) mir.Message {
			return g.preprepare(0, 0, types.Proposal{Certs: make([]types.Certificate, 3)})
		}, Stats{Invalid: 1}},
		{"proposal with too many signatures", 0, func(g *group) mir.Message {
			return g.preprepare(0, 0, types.Proposal{Certs: []types.Certificate{{Sigs: make([]types.Signature, 5)}}})
		}, Stats{Invalid: 1}},
		{"prepare of another's slot", 1, func(g *group) mir.Message { return g.prepare(1, 0, 2, value(1)) }, Stats{Malformed: 1}},
		{"prepare signed by another", 1, func(g *group) mir.Message { return g.prepare(2, 0, 0, value(1)) }, Stats{BadSignature: 1}},
		{"prepare signed for another view", 1, func(g *group) mir.Message {
			m := g.prepare(1, 0, 0, value(1))
			m.View = 1
			return m
		}, Stats{BadSignature: 1}},
		{"prepare of another epoch", 1, func(g *group) mir.Message {
			g.segment.Epoch++
			return g.prepare(1, 0, 0, value(1))
		}, Stats{BadSignature: 1}},
		{"prepare of another leader's segment", 1, func(g *group) mir.Message {
			g.segment.Leader++
			return g.prepare(1, 0, 0, value(1))
		}, Stats{BadSignature: 1}},
		{"prepare too far ahead", 1, func(g *group) mir.Message { return g.prepare(1, viewsAheadMax+1, 0, value(1)) }, Stats{TooFar: 1}},
		{"commit too far ahead", 1, func(g *group) mir.Message { return Commit{View: viewsAheadMax + 1} }, Stats{TooFar: 1}},
		{"decision that no leader may propose", 1, func(g *group) mir.Message {
			return Decision{Proposal: types.Proposal{Certs: make([]types.Certificate, 3)}}
		}, Stats{Invalid: 1}},
		{"question in no order", 1, func(g *group) mir.Message { return Ask{Slots: []types.SeqNr{4, 0}} }, Stats{Malformed: 1}},
		{"question about another's slot", 1, func(g *group) mir.Message { return Ask{Slots: []types.SeqNr{1}} }, Stats{Malformed: 1}},
		{"decision of another's slot", 1, func(g *group) mir.Message { return Decision{Seq: 1} }, Stats{Malformed: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGroup(t, 4, 1)
			g.receive(3, tc.from, tc.msg(g))
			if got := *g.stats[3]; got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
			if len(g.inFlight) > 0 || len(g.timers[3]) > 0 || len(g.reported[3]) > 0 {
				t.Errorf("a bad message had effects:\n%s", g.trace.String())
			}
		})
	}
}

// Whatever a replica sends that does not verify, it is the last of its messages
// that is verified. The others are believed as before, and so are its votes that
// need no signature.
func TestOneBadSignatureIsAllThatAReplicaGetsVerified(t *testing.T) {
	for name, bad := range map[string]func(g *group) mir.Message{
		"pre-prepare": func(g *group) mir.Message { return g.preprepare(1, 0, value(1)) },
		"proposal":    func(g *group) mir.Message { return g.preprepare(0, 0, value(99)) },
		"prepare":     func(g *group) mir.Message { return g.prepare(1, 0, 0, value(1)) },
		"view change": func(g *group) mir.Message { return g.change(1, 1) },
		"new view": func(g *group) mir.Message {
			return NewView{View: 4, Changes: []SignedChange{{0, g.change(1, 4)}, g.shown(1, 4), g.shown(2, 4)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 4, 2)
			counting := crypto.NewCounting(g.cryptos[3])
			g.cryptos[3] = counting
			g.nodes[3] = g.newInstance(3)
			g.receive(3, 0, bad(g))
			most := counting.Counts().Verifies
			for range 10 {
				g.receive(3, 0, bad(g))
			}
			g.receive(3, 0, g.prepare(0, 0, 0, value(2)))
			if got := counting.Counts().Verifies; got != most || most == 0 || g.stats[3].Refused != 11 {
				t.Errorf("%d signatures verified, %d of them at first, stats %+v", got, most, *g.stats[3])
			}
			g.receive(3, 1, g.prepare(1, 0, 4, value(2)))
			g.receive(3, 0, Commit{Seq: 4, Digest: digestOf(value(2))})
			if r := g.nodes[3].slots[1].round(0, 4); !r.prepares[1].cast || !r.commits[0].cast {
				t.Error("a vote that is beyond doubt did not count")
			}
		})
	}
}

func TestVotesUpToTheViewLimitAreKept(t *testing.T) {
	g := newGroup(t, 4, 1)
	for v := types.View(0); v <= viewsAheadMax; v++ {
		g.receive(3, 1, g.prepare(1, v, 0, value(1)))
		g.receive(3, 1, Commit{View: v})
	}
	if got := *g.stats[3]; got != (Stats{}) {
		t.Errorf("stats %+v, want none", got)
	}
	if got := len(g.nodes[3].slots[0].rounds); got != viewsAheadMax+1 {
		t.Errorf("%d rounds are kept, want %d", got, viewsAheadMax+1)
	}
}

// A leader that proposes to some only must not keep the others from filling
// their slots below: prepares of weight more than f tell them.
func TestPreparesOfACorrectReplicaReportTheProposal(t *testing.T) {
	g := newGroup(t, 4, 1)
	g.receive(3, 1, g.prepare(1, 0, 0, value(1)))
	if g.reported[3][0] {
		t.Error("weight f was believed")
	}
	g.receive(3, 2, g.prepare(2, 0, 0, value(1)))
	if !g.reported[3][0] {
		t.Error("weight f+1 was not believed")
	}
}

func TestTwoPreparesForOneViewAreNeverSigned(t *testing.T) {
	s := newSlot(0, 0, 4)
	s.lastSigned = &signedStatement{view: 1, digest: digestOf(value(1))}
	s.maySign(1, digestOf(value(1)))
	for _, tc := range []struct {
		name string
		view types.View
		no   int
	}{{"another value", 1, 2}, {"an earlier view", 0, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("signing did not panic")
				}
			}()
			s.maySign(tc.view, digestOf(value(tc.no)))
		})
	}
}

// Commits of a later view may decide before a replica has left view 0. What it
// hears about view 0 afterwards must not make it certify another value.
func TestDecisionOfALaterViewEndsTheEarlierOne(t *testing.T) {
	decideEmpty := func(g *group, id types.NodeID) {
		for from := range types.NodeID(4) {
			if from != id {
				g.receive(id, from, Commit{View: 1, Digest: emptyDigest})
			}
		}
		g.inFlight = nil
	}
	quiet := func(t *testing.T, g *group) {
		t.Helper()
		if len(g.inFlight) > 0 {
			t.Errorf("messages were sent:\n%s", g.trace.String())
		}
	}
	t.Run("proposal after it", func(t *testing.T) {
		g := newGroup(t, 4, 1)
		decideEmpty(g, 3)
		g.receive(3, 0, g.preprepare(0, 0, value(1)))
		quiet(t, g)
	})
	t.Run("prepares after it", func(t *testing.T) {
		g := newGroup(t, 4, 1)
		g.receive(3, 0, g.preprepare(0, 0, value(1)))
		decideEmpty(g, 3)
		g.receive(3, 1, g.prepare(1, 0, 0, value(1)))
		quiet(t, g)
		if g.nodes[3].slots[0].prepared != nil {
			t.Error("another value than the decided one is certified")
		}
	})
	t.Run("own proposal after it", func(t *testing.T) {
		g := newGroup(t, 4, 1)
		decideEmpty(g, 0)
		g.propose(0, 0, value(1))
		quiet(t, g)
	})
}
