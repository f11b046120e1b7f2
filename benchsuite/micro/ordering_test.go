package micro

import (
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// slotsPerSegment is how many slots a leader has in an epoch.
const slotsPerSegment = 16

// agreement is the instances of one segment on n replicas. Replica 0 leads.
type agreement struct {
	*group
	configs []pbft.Config
	stats   []pbft.Stats
	segment types.Segment

	decided int            // By all replicas together.
	value   types.Proposal // Decided last.
}

func newAgreement(n int) *agreement {
	a := &agreement{stats: make([]pbft.Stats, n)}
	for slot := range slotsPerSegment {
		a.segment.Slots = append(a.segment.Slots, types.SeqNr(slot*n))
	}
	cryptos, members := simulated(n), quorum.Equal(n)
	for i := range n {
		a.configs = append(a.configs, pbft.Config{
			Node: types.NodeID(i), Members: members, Crypto: cryptos[i],
			Log: self, Net: netModule, Timer: timerModule, Store: storeModule,
			Validate: func(types.Proposal) error { return nil }, CertsMax: 1,
			Timeout: time.Second, ResendAfter: time.Second, Stats: &a.stats[i],
		})
	}
	a.group = newGroup(make([]mir.Module, n), nil)
	a.renew()
	return a
}

// renew begins the segment again with new instances.
func (a *agreement) renew() {
	for i, cfg := range a.configs {
		a.nodes[i] = logOf{a, pbft.New(cfg, a.segment, 0)}
	}
}

// logOf stands between an instance and its log: what the instance tells the log
// ends here.
type logOf struct {
	a        *agreement
	instance *pbft.Instance
}

func (l logOf) Apply(ev mir.Event, out *mir.Out) {
	switch body := ev.Body.(type) {
	case types.SlotDecided:
		l.a.decided++
		l.a.value = body.Proposal
	case types.SlotProposed, types.LeaderDeposed:
	default:
		l.instance.Apply(ev, out)
	}
}

// viewChanges of all replicas.
func (a *agreement) viewChanges() (all int) {
	for _, s := range a.stats {
		all += int(s.ViewChanges)
	}
	return all
}

// BenchmarkAgree orders one slot with one certificate by PBFT, from the
// leader's proposal until all n replicas have decided. A segment has 16 slots;
// making its instances is part of the cost. An operation is the work of all n.
//
//perfgate:sizes gate full
//perfgate:sizes n=4 smoke gate full
//perfgate:sizes n=64 full
func BenchmarkAgree(b *testing.B) {
	for _, n := range []int{4, 16, 64} {
		b.Run(replicas(n), func(b *testing.B) {
			a, next := newAgreement(n), 0
			value := sampleProposal(1)
			one := func() {
				if next == slotsPerSegment {
					a.renew()
					next = 0
				}
				a.input(0, mir.Event{To: self, Body: types.Propose{Seq: a.segment.Slots[next], Proposal: value}})
				a.run()
				next++
			}
			one()
			a.decided = 0
			for b.Loop() {
				one()
			}
			want(b, "decisions", a.decided, n*b.N)
			want(b, "certificates in the last one", len(a.value.Certs), 1)
			want(b, "view changes", a.viewChanges(), 0)
		})
	}
}

// BenchmarkViewChange deposes the leader of a segment of 16 slots: half of them
// are decided, the rest was never proposed, and the timers of all n replicas go
// off. It ends when all have decided the rest. An operation is the work of all
// n, with the 8 slots that were decided before.
//
//perfgate:sizes gate full
//perfgate:sizes n=4 smoke gate full
//perfgate:sizes n=16 full
func BenchmarkViewChange(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) {
			a := newAgreement(n)
			value := sampleProposal(1)
			for b.Loop() {
				a.renew()
				for _, seq := range a.segment.Slots[:slotsPerSegment/2] {
					a.input(0, mir.Event{To: self, Body: types.Propose{Seq: seq, Proposal: value}})
				}
				a.run()
				missing := mir.Event{To: self, Body: types.SlotNeeded{Seq: a.segment.Slots[slotsPerSegment-1]}}
				for i := range n {
					a.input(i, missing)
				}
				for i := range n {
					a.fire(b, i)
				}
				a.run()
			}
			want(b, "decisions", a.decided, n*slotsPerSegment*b.N)
			want(b, "certificates in the last one", len(a.value.Certs), 0)
			want(b, "view changes", a.viewChanges(), n*b.N)
		})
	}
}

// BenchmarkEpoch orders a whole epoch of 16 slots for each of n leaders, who
// all have certificates for all of theirs, up to the checkpoint that ends it.
// An operation is the work of all n.
//
//perfgate:sizes gate full
//perfgate:sizes n=16 full
func BenchmarkEpoch(b *testing.B) {
	for _, n := range []int{4, 16} {
		b.Run(replicas(n), func(b *testing.B) { benchmarkEpoch(b, n) })
	}
}

func benchmarkEpoch(b *testing.B, n int) {
	ordered, certs, ended := 0, 0, 0
	nodes, stats := logsOf(n)
	g := newGroup(nodes, func(_ int, ev mir.Event) {
		switch body := ev.Body.(type) {
		case types.Ordered:
			ordered++
			certs += len(body.Proposal.Certs)
		case types.EpochEnd:
			ended++
		}
	})
	cert, epoch, members := sampleProposal(1).Certs[0], types.Epoch(0), quorum.Equal(n)
	cert.Sigs = sampleSigs((n-1)/3 + 1)
	one := func() {
		for range slotsPerSegment {
			for i := range n {
				cert.No++
				g.input(i, mir.Event{To: self, Body: types.CertReady{Cert: cert}})
			}
		}
		g.run()
		for i := range n {
			g.input(i, mir.Event{To: self, Body: types.EpochConfig{Epoch: epoch + configDelay, Members: members}})
			g.input(i, mir.Event{To: self, Body: types.StableCheckpoint{Epoch: epoch}})
		}
		epoch++
	}
	for range 4 {
		one()
	}
	ordered, certs, ended = 0, 0, 0
	for b.Loop() {
		one()
	}
	want(b, "epochs ended", ended, n*b.N)
	want(b, "slots ordered", ordered, n*n*slotsPerSegment*b.N)
	want(b, "certificates ordered", certs, n*n*slotsPerSegment*b.N)
	for i := range stats {
		want(b, "view changes", int(stats[i].ViewChanges), 0)
	}
}

// logsOf makes the log of each of n replicas, with PBFT instances.
func logsOf(n int) ([]mir.Module, []pbft.Stats) {
	cryptos, members := simulated(n), quorum.Equal(n)
	nodes, stats := make([]mir.Module, n), make([]pbft.Stats, n)
	for i := range n {
		cfg := pbft.Config{
			Node: types.NodeID(i), Members: members, Crypto: cryptos[i],
			Log: self, Net: netModule, Timer: timerModule, Store: storeModule,
			Validate: func(types.Proposal) error { return nil }, CertsMax: 1,
			Timeout: time.Second, ResendAfter: time.Second, Stats: &stats[i],
		}
		nodes[i] = iss.New(iss.Config{
			Node: types.NodeID(i), Members: members, ConfigDelay: configDelay,
			Self: self, Net: netModule, Timer: timerModule, Store: storeModule,
			Mempool: mempoolModule, Availability: availabilityModule, Delivery: deliveryModule,
			NewInstance: func(segment types.Segment, _ quorum.Membership, _ int, sub mir.SubID) iss.Instance {
				return pbft.New(cfg, segment, sub)
			},
			CheckRecord: pbft.CheckRecord,
			VerifyCert:  func(quorum.Membership, types.Certificate) error { return nil },
			Policy:      iss.Blacklist, EpochLength: slotsPerSegment * n, MaxCertsPerSlot: 1, OwnInFlightMax: slotsPerSegment,
			EpochsAheadMax: 2, HeartbeatAfter: time.Second, BufferedMax: 1 << 16, BufferedBytesMax: 1 << 30,
		})
	}
	return nodes, stats
}
