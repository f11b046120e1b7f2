package iss

import (
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

func (b *bench) boot() { b.apply(0, types.Boot{}) }

// beat is a heartbeat of this replica.
func (b *bench) beat() { b.apply(0, heartbeat{}) }

func TestHeartbeat(t *testing.T) {
	b := newBench(t, nil)
	b.boot()
	b.beat()
	b.receive(2, 0, Status{Epoch: 0, Ordered: 2})
	b.beat()
	b.receive(3, 0, Status{Epoch: 1, Ordered: 8})
	b.beat()
	b.beat()
	b.decide(types.Proposal{Skip: true}, 0, 1, 2, 3, 4, 5, 6, 7)
	b.beat()
	golden.Check(t, t.Name(), `Replica 1 of four boots, and beats. Replica 2 has ordered two slots: they are needed
here, and its own one is skipped. Replica 3 is in epoch 1: all slots of epoch 0 are needed.
At the third beat peers of weight more than f have ordered slots 0 and 1, and as it still
has not one beat later, the instances of these ask. The later slots are those of
replica 3 alone, which may be lying.`, b.trace.Bytes())
}

func TestBlacklistedLeaderHandsItsCertificatesOver(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Policy, c.OwnInFlightMax = Blacklist, 2 })
	b.boot()
	b.ready(1)
	b.decide(types.Proposal{Skip: true}, 0, 2, 3, 4, 6, 7)
	b.decide(types.Proposal{}, 1, 5)
	b.ready(2)
	b.beat()
	b.decide(value(1, 2), 8)
	b.beat()
	golden.Check(t, t.Name(), `Replica 1 of four with the blacklist. A view change empties both its slots of epoch 0,
so it does not lead in epoch 1: the segments are those of replicas 0, 2 and 3. It hands its
certificate to a leader, and another one as soon as it is ready, and both to the next leader
at each beat, until they are in the log.`, b.trace.Bytes())
}

func TestLeaderQueuesWhatIsHandedOver(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Policy, c.OwnInFlightMax = Blacklist, 9 })
	b.boot()
	of := func(creator types.NodeID, no int) types.Certificate {
		c := cert(no)
		c.Creator = creator
		return c
	}
	hand := func(from types.NodeID, e types.Epoch, certs ...types.Certificate) {
		b.receive(from, 0, HandOver{Epoch: e, Certs: certs})
	}
	hand(3, 0, of(3, 1)) // A leader keeps its own.
	b.want()
	b.decide(types.Proposal{Skip: true}, 0, 1, 2, 4, 5, 6)
	b.decide(types.Proposal{}, 3, 7)
	hand(3, 1, of(3, 1), of(3, 1))
	b.want("instance 1/1 gets proposal [1] for slot 9")
	hand(3, 1, of(3, 1), of(3, 2), of(3, 3))
	if got, want := b.log.Stats(), (Stats{
		Proposed: 2, TakenOver: 2, HandedFull: 1, Collected: 1,
	}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// A correct replica hands over what is valid and its own: one that is not is the
// last that a peer gets verified in an epoch.
func TestOneBadCertificateIsAllThatAPeerGetsVerified(t *testing.T) {
	for name, bad := range map[string]types.Certificate{
		"another's": {Creator: 2, No: 7, Sigs: cert(7).Sigs},
		"invalid":   {Creator: 3, No: 99, Sigs: cert(99).Sigs},
	} {
		t.Run(name, func(t *testing.T) {
			verified := 0
			b := newBench(t, func(c *Config) {
				c.Policy, c.OwnInFlightMax, c.HandedMax = Blacklist, 9, 9
				verify := c.VerifyCert
				c.VerifyCert = func(m quorum.Membership, cert types.Certificate) error {
					verified++
					return verify(m, cert)
				}
			})
			b.boot()
			b.decide(types.Proposal{Skip: true}, 0, 1, 2, 4, 5, 6)
			b.decide(types.Proposal{}, 3, 7)
			good := cert(1)
			good.Creator = 3
			for range 10 {
				b.receive(3, 0, HandOver{Epoch: 1, Certs: []types.Certificate{bad, good}})
			}
			if got := b.log.Stats(); got.TakenOver != 0 || got.BadCert != 20 || verified > 1 {
				t.Errorf("%d certificates verified, stats %+v", verified, got)
			}
		})
	}
}

// Leaders take a certificate from its creator only. What a replica took over while
// it led must not stand before its own when it does not lead any more.
func TestOnlyOwnCertificatesAreHandedOver(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Policy, c.OwnInFlightMax, c.MaxCertsPerSlot = Blacklist, 1, 1 })
	b.boot()
	for no := range 3 {
		foreign := cert(10 + no)
		foreign.Creator = 3
		b.log.queue.add(foreign)
	}
	b.ready(1)
	b.decide(types.Proposal{Skip: true}, 0, 2, 3, 4, 6, 7)
	b.decide(types.Proposal{}, 1, 5) // Off the list of leaders.
	b.lines = nil
	b.beat()
	if !slices.ContainsFunc(b.lines, func(line string) bool { return strings.Contains(line, "HANDOVER in epoch 1 of [1] to") }) {
		t.Errorf("got %q", b.lines)
	}
}

// A status in the name of a stranger, of far epochs, of old ones.
func TestStatusOfAFaultyPeerGainsNoMoreThanFinishEpoch(t *testing.T) {
	b := newBench(t, nil)
	b.boot()
	b.receive(4, 0, Status{Epoch: 9, Ordered: 1 << 60})
	b.want()
	b.receive(3, 0, Status{Epoch: 1 << 60, Ordered: 1<<64 - 1})
	if got := b.log.current().needed; got != 8 {
		t.Errorf("%d slots are needed, want the epoch's 8", got)
	}
	b.beat()
	b.beat()
	if slices.ContainsFunc(b.lines, func(line string) bool { return line == "instance 0/0 gets ordering.SlotsMissed" }) {
		t.Errorf("weight f made the instances ask: %q", b.lines)
	}
}

// With peers of weight more than f beyond the next epoch, it is caught up with at
// once, without a heartbeat for each.
func TestEpochThatOthersEndedIsAskedForAtOnce(t *testing.T) {
	b := newBench(t, nil)
	b.boot()
	b.receive(2, 0, Status{Epoch: 3, Ordered: 24})
	b.receive(3, 0, Status{Epoch: 2, Ordered: 17})
	b.finishEpoch(0)
	for _, leader := range []string{"0", "1", "2", "3"} {
		if line := "instance 1/" + leader + " gets ordering.SlotsMissed"; !slices.Contains(b.lines, line) {
			t.Errorf("no line %q in %q", line, b.lines)
		}
	}
}

func TestFinishEpochIsAskedForAgain(t *testing.T) {
	b := newBench(t, nil)
	b.boot()
	b.apply(0, types.WantEpoch{Epoch: 0})
	if !slices.Contains(b.lines, "send FINISH-EPOCH 0 to [0 2 3]") {
		t.Errorf("got %q", b.lines)
	}
	b.apply(0, types.WantEpoch{Epoch: 0})
	b.want()
	b.beat()
	b.want("heartbeat in 1s", "send STATUS epoch 0, ordered below 0 to [0 2 3]", "send FINISH-EPOCH 0 to [0 2 3]")
	b.finishEpoch(0)
	b.apply(0, types.WantEpoch{Epoch: 0}) // Too late: it wanted epoch 0 to end.
	b.want()
}

func TestEarlyMessagesAreBoundedInBytes(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BufferedMax, c.BufferedBytesMax = 100, 20 })
	for range 5 {
		b.receive(0, 0, FinishEpoch{Epoch: 1}) // 8 bytes each.
	}
	b.receive(0, 0, FinishEpoch{Epoch: 3}) // Beyond EpochsAheadMax.
	if got := b.log.Stats(); got.BufferFull != 3 || got.TooFar != 1 {
		t.Errorf("%d dropped as too many, %d as too far, want 3 and 1", got.BufferFull, got.TooFar)
	}
	b.finishEpoch(0)
	if got := b.log.peers[0].earlyBytes; got != 0 {
		t.Errorf("%d bytes are still counted", got)
	}
}

// What an instance sends to all comes back to it, and to nobody else's.
func TestOwnCopiesReachTheInstance(t *testing.T) {
	b := newBench(t, nil)
	b.receive(1, SubOf(0, 2), message{})
	b.want("instance 0/2 gets message from 1")
	b.receive(1, SubOf(1, 2), message{})
	b.want()
}

func TestMembersOfAnEpochAreThoseOfItsConfiguration(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ConfigDelay = 1 })
	b.boot()
	b.ready(1)
	b.decide(types.Proposal{Skip: true}, 0, 2, 3, 4, 5, 6, 7)
	b.decide(types.Proposal{}, 1)
	if b.log.Epoch() != 0 {
		t.Fatal("epoch 1 began without its configuration")
	}
	members, err := quorum.New([]uint64{0, 1, 3, 3, 3, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	b.apply(0, types.EpochConfig{Epoch: 1, Members: members})
	// Certificate 1 is signed by replicas 0 and 1, which weigh 1 of 11 now: f is 3.
	b.want("epoch 1 begins, leaders [1 2 3 4 6]", "certificate 1 is stale")
	b.receive(0, SubOf(1, 2), message{})
	b.want()
	b.receive(6, SubOf(1, 2), message{})
	b.want("instance 1/2 gets message from 6")
	b.receive(6, SubOf(1, 0), message{}) // Replica 0 leads nothing any more.
	b.want()
	if got := b.log.Stats(); got.Stranger != 1 || got.Malformed != 1 || got.Stale != 1 {
		t.Errorf("stats %+v", got)
	}
}

func TestReplicaThatIsNoMemberIsSilent(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Node = 7 })
	b.boot()
	b.want("heartbeat in 1s", "epoch 0 begins, leaders [0 1 2 3]")
	b.beat()
	b.want("heartbeat in 1s")
	b.ready(1)
	b.apply(0, types.WantEpoch{Epoch: 0})
	b.want()
	b.receive(2, SubOf(0, 3), message{})
	b.receive(2, 0, FinishEpoch{Epoch: 0})
	b.want()
}
