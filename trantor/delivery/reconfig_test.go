package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

const watcher mir.ModuleID = 20

// polls is a Delivery that watches its configurations, and the voters' keys.
type polls struct {
	*harness
	cryptos []crypto.Crypto
	txs     uint64
	batches types.BatchNo
}

func newPolls(t *testing.T, change func(*Config)) *polls {
	cfg := config()
	cfg.Configs = []mir.ModuleID{watcher}
	cfg.BatchWindow, cfg.ClientWindow = 64, 64
	if change != nil {
		change(&cfg)
	}
	p := &polls{harness: newHarness(t, cfg)}
	for id := range types.NodeID(12) {
		p.cryptos = append(p.cryptos, crypto.NewSimulated(1, id, 12))
	}
	p.d.cfg.Crypto = p.cryptos[0]
	return p
}

// order orders one payload of types.ConfigClient.
func (p *polls) order(payload []byte) types.ReconfigResult {
	p.t.Helper()
	data := types.EncodeBatch([]types.Tx{{TxID: types.TxID{Client: types.ConfigClient, No: types.TxNo(p.txs)}, Payload: payload}})
	slot := p.slot(cert(0, p.batches, data))
	p.txs++
	p.batches++
	for _, body := range p.run(slot, arrive(data)) {
		if e, ok := body.(types.Delivered); ok {
			result, err := types.DecodeReconfigResult(e.Result)
			if err != nil {
				p.t.Fatal(err)
			}
			return result
		}
	}
	p.t.Fatal("not delivered")
	return types.ReconfigResult{}
}

func (p *polls) vote(voter types.NodeID, no uint64, change types.Member) types.ReconfigResult {
	p.t.Helper()
	return p.order(SignReconfig(p.cryptos[voter], types.Reconfig{Voter: voter, No: no, Change: change}).Encode())
}

func (p *polls) wantVote(voter types.NodeID, no uint64, change types.Member, want types.ReconfigResult) {
	p.t.Helper()
	if got := p.vote(voter, no, change); got != want {
		p.t.Errorf("vote %d of replica %d: %+v, want %+v", no, voter, got, want)
	}
}

// endEpoch gives what the watcher hears.
func (p *polls) endEpoch() (configs []types.EpochConfig) {
	for _, body := range p.run(types.EpochEnd{Epoch: p.d.epoch}) {
		if e, ok := body.(types.EpochConfig); ok {
			configs = append(configs, e)
		}
	}
	return configs
}

var (
	counted = types.ReconfigResult{Status: types.ReconfigCounted}
	fifth   = types.Member{Node: 4, Weight: 1, Addr: "host:5"}
)

func applied(e types.Epoch) types.ReconfigResult {
	return types.ReconfigResult{Status: types.ReconfigApplied, Epoch: e}
}

func TestEveryEpochHasAConfigurationAheadOfTime(t *testing.T) {
	p := newPolls(t, nil)
	for e := range types.Epoch(4) {
		configs := p.endEpoch()
		if len(configs) != 1 || configs[0].Epoch != e+3 || configs[0].Members.N() != 4 {
			t.Errorf("the end of epoch %d brings %+v", e, configs)
		}
	}
}

func TestVotesOfAQuorumChangeTheMembersLater(t *testing.T) {
	p := newPolls(t, nil)
	p.endEpoch()
	p.wantVote(0, 1, fifth, counted)
	p.wantVote(2, 1, fifth, counted)
	p.wantVote(2, 2, fifth, counted) // The same voter again.
	p.wantVote(3, 9, fifth, applied(4))
	p.wantVote(1, 1, fifth, applied(4)) // It is so already.
	config := p.endEpoch()[0]
	if config.Epoch != 4 || config.Members.N() != 5 || !config.Config.Members[4].Equal(fifth) {
		t.Errorf("%+v", config)
	}
	if got := p.d.Stats().Reconfigs; got != 1 {
		t.Errorf("%d changes, want 1", got)
	}
}

// By the weights of the epoch in which the vote is delivered.
func TestVotesWeighAsTheMembersDo(t *testing.T) {
	p := newPolls(t, func(c *Config) { c.Genesis = types.WeightedConfiguration([]uint64{7, 1, 1, 0}) })
	p.wantVote(1, 1, fifth, counted)
	p.wantVote(3, 1, fifth, types.ReconfigResult{Status: types.ReconfigStranger})
	p.wantVote(0, 1, fifth, applied(3))
	p.wantVote(4, 1, types.Member{Node: 1}, types.ReconfigResult{Status: types.ReconfigStranger}) // No member yet.
	for range 3 {
		p.endEpoch()
	}
	p.wantVote(4, 1, types.Member{Node: 1}, counted)
}

func TestVotesThatAreNoneAreRefused(t *testing.T) {
	p := newPolls(t, nil)
	p.wantVote(0, 5, fifth, counted)
	p.wantVote(0, 5, types.Member{Node: 1}, types.ReconfigResult{Status: types.ReconfigStale})
	p.wantVote(0, 6, types.Member{Node: 9, Weight: 1}, types.ReconfigResult{Status: types.ReconfigInvalid})
	p.wantVote(0, 6, types.Member{Node: 0, Weight: 1, Key: make([]byte, types.KeyBytes)}, types.ReconfigResult{Status: types.ReconfigInvalid})
}

// Whoever has a number taken by junk could take all of them.
func TestJunkOfConfigClientTakesNoNumber(t *testing.T) {
	p := newPolls(t, nil)
	junk := [][]byte{
		nil, []byte("no vote"),
		SignReconfig(p.cryptos[1], types.Reconfig{Voter: 0, No: 1, Change: fifth}).Encode(),
		SignReconfig(p.cryptos[7], types.Reconfig{Voter: 7, No: 1, Change: fifth}).Encode(), // No configuration has it.
		SignReconfig(crypto.NewBound(p.cryptos[0], "another"), types.Reconfig{Voter: 0, No: 1, Change: fifth}).Encode(),
	}
	vote := SignReconfig(p.cryptos[0], types.Reconfig{Voter: 0, No: 1, Change: fifth})
	var txs []types.Tx
	for _, payload := range append(junk, vote.Encode(), junk[0]) {
		txs = append(txs, types.Tx{TxID: types.TxID{Client: types.ConfigClient}, Payload: payload})
	}
	a := types.EncodeBatch(txs)
	var delivered int
	for _, body := range p.run(p.slot(cert(0, 0, a)), arrive(a)) {
		switch e := body.(type) {
		case types.Delivered:
			delivered++
			if !bytes.Equal(e.Tx.Payload, vote.Encode()) || !bytes.Equal(e.Result, counted.Encode()) {
				t.Errorf("%x is delivered with result %x", e.Tx.Payload, e.Result)
			}
		case types.Progress:
			if len(e.IDs) != 1 || len(e.Dropped) != len(junk)+1 {
				t.Errorf("progress %+v", e)
			}
		}
	}
	s := p.d.Stats()
	if delivered != 1 || s.BadVotes != uint64(len(junk)) || s.DuplicateTxs != 1 {
		t.Errorf("%d delivered, stats %+v", delivered, s)
	}
}

func TestMembersAreBounded(t *testing.T) {
	p := newPolls(t, func(c *Config) { c.MembersMax = 4 })
	p.wantVote(0, 1, fifth, types.ReconfigResult{Status: types.ReconfigInvalid})
	p.wantVote(0, 1, types.Member{Node: 4}, counted) // An ID for later.
}

func TestMembersThatTheSystemCannotRunWithAreRefused(t *testing.T) {
	p := newPolls(t, func(c *Config) {
		c.CheckMembers = func(m quorum.Membership) error {
			if m.Weight(4) > 1 {
				return errors.New("too heavy")
			}
			return nil
		}
	})
	heavy := fifth
	heavy.Weight = 2
	p.wantVote(0, 1, heavy, types.ReconfigResult{Status: types.ReconfigInvalid})
	p.wantVote(0, 1, fifth, counted)
}

func TestChangesOfAnEpochAreBounded(t *testing.T) {
	p := newPolls(t, func(c *Config) { c.Genesis, c.ConfigDelay = types.EqualConfiguration(1), types.ConfigChangesMax/2 })
	last := types.Epoch(types.ConfigChangesMax / 2)
	for no := range uint64(2) {
		p.wantVote(0, no, types.Member{Node: 0, Weight: 2 + no}, applied(last))
	}
	p.wantVote(0, 2, types.Member{Node: 0, Weight: 9}, types.ReconfigResult{Status: types.ReconfigTooMany})
	p.endEpoch()
	p.wantVote(0, 2, types.Member{Node: 0, Weight: 9}, applied(last+1))
}

func TestOpenVotesAreBoundedAndKeepNobodyOut(t *testing.T) {
	p := newPolls(t, nil)
	for no := range uint64(20) {
		p.wantVote(0, no, types.Member{Node: types.NodeID(no % 4), Weight: 10 + no}, counted)
		p.wantVote(0, 100+no, types.Member{Node: 4, Weight: no}, counted)
		p.d.voters[0].last = no
	}
	if got := len(p.d.voters[0].open); got > openVotesMax {
		t.Errorf("%d open votes of one replica, limit %d", got, openVotesMax)
	}
	for id := types.NodeID(1); id < 3; id++ {
		p.wantVote(id, 1, fifth, counted)
	}
	p.wantVote(3, 1, fifth, applied(3))
	for id, v := range p.d.voters {
		if slices.ContainsFunc(v.open, func(m types.Member) bool { return m.Node == 4 }) {
			t.Errorf("replica %d has an open vote about a replica that was decided", id)
		}
	}
}

// The configuration's transactions have a window of their own, and do not reach
// the application.
func TestConfigClientIsNoneOfTheClients(t *testing.T) {
	p := newPolls(t, func(c *Config) { c.ClientsMax = 1 })
	before := p.d.cfg.App.Hash()
	p.wantVote(0, 1, fifth, counted)
	if p.d.cfg.App.Hash() != before {
		t.Error("the application saw a vote")
	}
	a := batchOf(1, 0)
	p.feed(p.slot(cert(1, 0, a)))
	p.want("tx(1/0 at 1) progress(1/0|) used(1/0 in 0)", arrive(a))
	s := p.snapshotAmong(types.EpochEnd{})
	fresh := newPolls(t, func(c *Config) { c.ClientsMax, c.App = 1, &app.Chain{} })
	if _, err := fresh.d.Restore(0, s.Data); err != nil {
		t.Fatal(err)
	}
	fresh.txs, fresh.next, fresh.batches = p.txs, p.next, p.batches
	fresh.wantVote(1, 1, fifth, counted)
	fresh.wantVote(2, 1, fifth, applied(4)) // The vote of replica 0 was in the snapshot.
}

func TestCreatorsThatJoinGetAWindow(t *testing.T) {
	p := newPolls(t, nil)
	for id := range types.NodeID(3) {
		p.vote(id, 1, fifth)
	}
	a := batchOf(1, 0)
	p.feed(p.slot(cert(4, 0, a)))
	if got := p.d.Stats().SkippedCerts; got != 1 {
		t.Errorf("%d certificates skipped of a replica that has not joined, want 1", got)
	}
	for range 3 {
		p.endEpoch()
	}
	p.want("need(4/0)", p.slot(cert(4, 0, a)))
}

// install is the snapshot of a system that has gone on to the end of an epoch,
// with some positions in each.
func install(t *testing.T, last types.Epoch) (types.InstallSnapshot, *polls) {
	other := newPolls(t, nil)
	var s types.Snapshot
	for e := range last + 1 {
		data := batchOf(1, uint64(e))
		other.feed(other.slot(cert(0, types.BatchNo(e), data)), other.slot(), arrive(data))
		s = other.snapshotAmong(types.EpochEnd{Epoch: e, Policy: []byte{byte(e)}})
	}
	return types.InstallSnapshot{Checkpoint: types.StableCheckpoint{Epoch: s.Epoch, Digest: types.SnapshotDigest(s.Data)}, Data: s.Data}, other
}

func TestInstalledSnapshotIsToldToAll(t *testing.T) {
	in, other := install(t, 2)
	p := newPolls(t, nil)
	var got types.Restored
	for _, body := range p.run(in) {
		if e, ok := body.(types.Restored); ok {
			got = e
		}
	}
	if got.Epoch != 2 || got.Next != 6 || !bytes.Equal(got.Policy, []byte{2}) || len(got.Configs) != 3 || got.Configs[0].Epoch != 3 ||
		len(got.Creators) != 4 || got.Creators[0].Low() != 3 || got.Clients[1].Low() != 3 {
		t.Errorf("restored %+v", got)
	}
	if p.d.cfg.App.Hash() != other.d.cfg.App.Hash() {
		t.Error("application states differ")
	}
	if events := p.run(in); len(events) != 0 {
		t.Errorf("installed again: %d events", len(events))
	}
}

// Ordering may have sent positions of the epochs that follow, and may still have
// some of those before on their way.
func TestPositionsAfterAnInstalledSnapshotAreKept(t *testing.T) {
	in, other := install(t, 1)
	p := newPolls(t, func(c *Config) { c.SlotsQueuedMax = 20 })
	missing, later := batchOf(1, 0), batchOf(1, 2)
	p.feed(p.slot(cert(0, 0, missing)), p.slot(), types.EpochEnd{Epoch: 0})
	p.feed(p.slot(cert(0, 1, batchOf(1, 1))), p.slot(), types.EpochEnd{Epoch: 1})
	p.feed(p.slot(cert(0, 2, later)))
	var needed []string
	for _, body := range p.run(in, types.Ordered{Seq: 3, Epoch: 1}, types.EpochEnd{Epoch: 1}) {
		if e, ok := body.(types.NeedBatch); ok {
			needed = append(needed, fmt.Sprint(e.Cert.No))
		}
	}
	if !slices.Equal(needed, []string{"2"}) || p.d.Stats().StaleSlots != 2 {
		t.Errorf("batches %v are asked for, stats %+v", needed, p.d.Stats())
	}
	p.want("tx(1/2 at 4) progress(1/2|) used(0/2 in 2)", arrive(later))
	other.feed(other.slot(cert(0, 2, later)), arrive(later))
	if got, want := p.end().Data, other.end().Data; !bytes.Equal(got, want) {
		t.Error("states differ after the next epoch")
	}
}

// A queue that overflowed has a gap, which a snapshot closes.
func TestSnapshotClosesAGap(t *testing.T) {
	in, _ := install(t, 0)
	p := newPolls(t, func(c *Config) { c.SlotsQueuedMax = 2 })
	p.feed(p.slot(cert(0, 0, batchOf(9, 9))), p.slot(), types.EpochEnd{})
	if !p.d.Behind() {
		t.Fatal("three items in a queue of two")
	}
	for _, body := range p.run(types.AskExecuted{}) {
		if body != (types.Executed{Behind: true}) {
			t.Errorf("answer %+v", body)
		}
	}
	p.run(in)
	if p.d.Behind() || p.d.next != 2 {
		t.Errorf("behind %v at position %d", p.d.Behind(), p.d.next)
	}
	a := batchOf(1, 1)
	p.want("need(1/0)", p.slot(cert(1, 0, a)))
}

// Positions after the snapshot that came by when there was no room do not come
// again: only a snapshot of what follows them helps. It may be the end of an epoch
// that found no room, whose positions were queued.
func TestSnapshotBeforeAGapLeavesTheReplicaBehind(t *testing.T) {
	for name, items := range map[string]int{"position": 4, "end of an epoch": 5} {
		t.Run(name, func(t *testing.T) {
			in, other := install(t, 0)
			p := newPolls(t, func(c *Config) { c.SlotsQueuedMax = items })
			p.feed(p.slot(cert(0, 0, batchOf(9, 9))), p.slot(), types.EpochEnd{})
			p.feed(types.Ordered{Seq: 2, Epoch: 1}, types.Ordered{Seq: 3, Epoch: 1}, types.EpochEnd{Epoch: 1})
			p.run(in)
			if !p.d.Behind() {
				t.Error("what was missed after the snapshot is forgotten")
			}
			p.want("", types.Ordered{Seq: 4, Epoch: 2}, types.Ordered{Seq: 5, Epoch: 2}, types.EpochEnd{Epoch: 2})
			for e := types.Epoch(1); e <= 2; e++ {
				other.feed(other.slot(), other.slot())
				s := other.snapshotAmong(types.EpochEnd{Epoch: e})
				in = types.InstallSnapshot{Checkpoint: types.StableCheckpoint{Epoch: e, Digest: types.SnapshotDigest(s.Data)}, Data: s.Data}
			}
			p.run(in)
			if p.d.Behind() || p.d.next != 6 {
				t.Errorf("behind %v at position %d after a snapshot of all that was missed", p.d.Behind(), p.d.next)
			}
			next := types.Proposal{Certs: []types.Certificate{cert(1, 0, batchOf(1, 1))}}
			p.want("need(1/0)", types.Ordered{Seq: 6, Epoch: 3, Proposal: next})
		})
	}
}

func TestSnapshotThatCannotBeReadStopsTheReplica(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newPolls(t, nil).run(types.InstallSnapshot{Data: []byte("x")})
}
