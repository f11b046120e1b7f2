package simtest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Checker watches every step of a simulation and keeps what has been seen, of
// the correct replicas together and of each. Its Observe is a sim.Config.OnStep.
type Checker struct {
	ground     *ground
	invariants []invariant
	liveness   *liveness
	executed   *execution
	restored   *restoring
	configs    *configurations

	look func(types.NodeID) *replica.Replica // For what no event shows. May be nil.
}

// invariant is one rule, and what has to be remembered to check it. It gets the
// steps of correct replicas only.
type invariant interface {
	// name says what is broken when observe returns an error.
	name() string
	observe(s sim.Step) error
	// restarted says that a replica lost what was not durable.
	restarted(id types.NodeID)
}

// ground is what the invariants share.
type ground struct {
	params  replica.Params
	genesis quorum.Membership
	members map[types.Epoch]quorum.Membership // By epoch, as correct replicas say.
	crypto  crypto.Crypto

	replicas int            // All that run, members or not.
	faulty   []types.NodeID // Nothing is expected of these.
	steady   []types.NodeID // Correct, always members, and never crash: what they accepted stays accepted.
	live     []types.NodeID // Correct, and up and members in the end: these must deliver.

	submitted map[types.TxID]types.Digest // Of the payload.
	now       time.Duration
}

// NewChecker expects nothing of Byzantine replicas, and delivery of all others
// that do not crash for good.
func NewChecker(s Scenario) *Checker {
	g := &ground{
		params: s.Params, genesis: must(s.Genesis.Quorums()), members: map[types.Epoch]quorum.Membership{},
		crypto: crypto.NewSimulated(s.Seed, 0, s.N()), replicas: s.N(), faulty: s.villains(), submitted: map[types.TxID]types.Digest{},
	}
	final := must(s.Final().Quorums())
	for id := range types.NodeID(s.N()) {
		if slices.Contains(g.faulty, id) || !final.Has(id) {
			continue
		}
		crashes := slices.DeleteFunc(slices.Clone(s.Crashes), func(c Crash) bool { return c.Node != id })
		if len(crashes) == 0 && g.genesis.Has(id) {
			g.steady = append(g.steady, id)
		}
		if !slices.ContainsFunc(crashes, func(c Crash) bool { return c.Down == Forever }) {
			g.live = append(g.live, id)
		}
	}
	c := &Checker{ground: g}
	values := newProposals()
	log := newLog(g, s.N())
	c.liveness = newLiveness(g)
	c.executed = newExecution(g, c.liveness, log, s.N())
	c.restored = newRestoring(g, c.executed, log)
	c.configs = newConfigurations(g)
	c.invariants = []invariant{
		c.configs, values, log, newDecisions(g), c.executed, c.liveness, c.restored,
		newVotes(g), newHolders(g, values), newFinality(g, c.executed),
		newBounds(g, func(id types.NodeID) *replica.Replica {
			if c.look == nil {
				return nil
			}
			return c.look(id)
		}),
	}
	return c
}

// Missing is how many deliveries the live replicas still owe: zero means that
// everything that must be is delivered by all of them.
func (c *Checker) Missing() int { return c.liveness.missing }

// Checked is the number of deliveries that were compared.
func (c *Checker) Checked() uint64 { return c.executed.checked }

// Transfers is how many snapshots correct replicas installed.
func (c *Checker) Transfers() uint64 { return c.restored.installed }

// Changes is how many epochs have other members than the one before.
func (c *Checker) Changes() uint64 { return c.configs.changes }

// Require says that a client will not rest before this transaction is delivered.
func (c *Checker) Require(tx types.Tx) {
	c.ground.submitted[tx.TxID] = sha256.Sum256(tx.Payload)
	c.liveness.require(tx.TxID)
}

// Restarted says that a replica begins another life.
func (c *Checker) Restarted(id types.NodeID) {
	for _, rule := range c.invariants {
		rule.restarted(id)
	}
}

// Observe returns an error that names the broken invariant.
func (c *Checker) Observe(s sim.Step) error {
	if e, ok := s.Event.Body.(types.Submit); ok {
		c.ground.submitted[e.Tx.TxID] = sha256.Sum256(e.Tx.Payload)
		return nil
	}
	c.ground.now = s.At
	if slices.Contains(c.ground.faulty, s.Node) {
		return nil
	}
	for _, rule := range c.invariants {
		if err := rule.observe(s); err != nil {
			return fmt.Errorf("%s broken: %w", rule.name(), err)
		}
	}
	return nil
}

// Finish checks what only shows at the end of a run.
func (c *Checker) Finish() error { return nil }

// membersOf is who decides in an epoch.
func (g *ground) membersOf(e types.Epoch) quorum.Membership {
	if m, ok := g.members[e]; ok {
		return m
	}
	return g.genesis
}

// epochOf is the epoch of a position.
func (g *ground) epochOf(seq types.SeqNr) types.Epoch {
	return types.Epoch(seq / types.SeqNr(g.params.EpochLength))
}

// agree lets the first to come say what the others must say too.
func agree[K comparable](seen map[K]types.Digest, key K, d types.Digest, node types.NodeID) error {
	if have, ok := seen[key]; ok && have != d {
		return fmt.Errorf("replica %d has %s at %v, another has %s", node, d, key, have)
	}
	seen[key] = d
	return nil
}

func digestOf(p types.Proposal) types.Digest {
	return sha256.Sum256(types.AppendProposal(nil, p))
}
