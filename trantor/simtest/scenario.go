package simtest

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Scenario is everything that decides a run.
type Scenario struct {
	Seed    uint64
	Genesis types.Configuration // Who the replicas are at first.
	Joiners int                 // Replicas beyond these, which run from the beginning and are no members yet.
	Params  replica.Params
	Durable bool // Replicas have disks, so that crashed ones come back.

	Disk       time.Duration // How long a group commit takes.
	Network    sim.Network   // Until FaultsEnd. Its Filter is set by Run.
	Blackouts  []Blackout
	Partitions []sim.Partition
	Crashes    []Crash
	Byzantine  []Villain
	Txs        []Submission
	Changes    []Change
	FaultsEnd  time.Duration // Then every partition has healed and messages are timely.

	App   func(types.NodeID) app.Application // Nil means a hash chain.
	Seams Seams
}

// Seams are where a test breaks a system on purpose. What is nil is as it
// should be.
type Seams struct {
	// Genesis is what a replica believes the replicas to be.
	Genesis func(types.NodeID) types.Configuration
	// Crypto wraps the identity of a replica.
	Crypto func(types.NodeID, crypto.Crypto) crypto.Crypto
	// Wrap wraps each module of a replica, the store included.
	Wrap func(types.NodeID, replica.IDs, mir.Registration) mir.Module
}

// String says what a failure wants to know first.
func (s Scenario) String() string {
	var weights []uint64
	for _, m := range s.Genesis.Members {
		weights = append(weights, m.Weight)
	}
	return fmt.Sprintf("weights %v, epochs of %d slots, durable %v, %d transactions, faults end at %v\ncrashes %+v\nByzantine %+v\npartitions %+v\nblackouts %+v\nloss %.3f\nchanges %+v",
		weights, s.Params.EpochLength, s.Durable, len(s.Txs), s.FaultsEnd, s.Crashes, s.Byzantine, s.Partitions, s.Blackouts, s.Network.LossRate, s.Changes)
}

// N is the number of replicas, those included that are not yet members.
func (s Scenario) N() int { return len(s.Genesis.Members) + s.Joiners }

// Final is who the replicas are after all changes.
func (s Scenario) Final() types.Configuration {
	config := s.Genesis
	for _, c := range s.Changes {
		next, err := config.With(c.Member)
		if err != nil {
			panic(err) // Draw saw to it.
		}
		config = next
	}
	return config
}

// Change is voted for by all replicas from a time on, each with its key. Changes
// ascend by time, and each is valid after those before.
type Change struct {
	At     time.Duration
	Member types.Member
}

// Blackout is a time in which every message is lost.
type Blackout struct{ Start, End time.Duration }

// Crash stops a replica: at a time, or where Write is not zero around its Write-th
// durable write, or where While says so from a time on as soon as the replica is in
// that situation and has then taken Steps more steps. It comes back after Down, from
// what its disk holds; Forever is never.
type Crash struct {
	Node  types.NodeID
	At    time.Duration
	While Situation
	Steps int
	Write uint64
	// AfterThen says that the crash comes when what the write released is out,
	// and not between the write and that.
	AfterThen bool
	Down      time.Duration
}

// Situation is what a replica is in the middle of.
type Situation string

// The situations in which a replica is about to be brought up to date. No time and
// no number of writes would hit them often.
const (
	Behind   Situation = "behind"   // A stable checkpoint is ahead of the state that it holds.
	Fetching Situation = "fetching" // It fetches a snapshot.
)

// Forever is how long a crash lasts that is for good.
const Forever = sim.Forever

// Villain is a Byzantine replica and the names of what it does.
type Villain struct {
	Node types.NodeID
	Acts []string
}

// Submission is a transaction given to some replicas at once, and every
// RetryEvery again to the ones after them until weight enough has delivered it.
// Zero gives it once.
type Submission struct {
	At         time.Duration
	Nodes      []types.NodeID
	Tx         types.Tx
	RetryEvery time.Duration
}

// villains are the Byzantine replicas.
func (s Scenario) villains() []types.NodeID {
	var ids []types.NodeID
	for _, v := range s.Byzantine {
		ids = append(ids, v.Node)
	}
	return ids
}
