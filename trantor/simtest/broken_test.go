package simtest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/availability"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// The checker is checked with systems that are broken on purpose, each in one
// thing that a real mistake could break: the sweep's own scenarios must show it.

// wantCaught runs drawn scenarios with something broken until the checker names
// the rule. Other rules may be broken before: a mistake rarely breaks one alone.
func wantCaught(t *testing.T, rule string, seeds uint64, breakIt func(*Scenario)) {
	t.Helper()
	var other error
	for seed := range seeds {
		s := Draw(seed)
		breakIt(&s)
		_, err := Run(s)
		var failure *sim.Failure
		if errors.As(err, &failure) && strings.Contains(failure.Cause.Error(), rule) {
			return
		}
		if err != nil && other == nil {
			other = err
		}
	}
	t.Errorf("%d seeds do not show that %q is broken; the first other error is %v", seeds, rule, other)
}

// Two halves that each believe to be a quorum decide alone. What they decide
// differs too, but that shows later.
func TestQuorumOf2fIsCaught(t *testing.T) {
	s := halves()
	s.Seams.Genesis = func(id types.NodeID) types.Configuration {
		if id >= 2 {
			return types.WeightedConfiguration([]uint64{1, 1, 100, 100})
		}
		return types.WeightedConfiguration([]uint64{100, 100, 1, 1})
	}
	_, err := Run(s)
	var failure *sim.Failure
	if !errors.As(err, &failure) || !strings.HasPrefix(failure.Cause.Error(), "decision by a quorum broken") {
		t.Errorf("error %v, want one that names the quorum", err)
	}
}

// wrap replaces one module of every replica.
func wrap(which func(replica.IDs) mir.ModuleID, with func(replica.IDs, mir.Module) mir.Module) func(*Scenario) {
	return func(s *Scenario) {
		s.Seams.Wrap = func(_ types.NodeID, ids replica.IDs, r mir.Registration) mir.Module {
			if r.ID != which(ids) {
				return r.Module
			}
			return with(ids, r.Module)
		}
	}
}

func ordering(ids replica.IDs) mir.ModuleID   { return ids.Ordering }
func delivering(ids replica.IDs) mir.ModuleID { return ids.Delivery }
func voting(ids replica.IDs) mir.ModuleID     { return ids.Checkpoint }
func transfers(ids replica.IDs) mir.ModuleID  { return ids.StateTransfer }
func storing(ids replica.IDs) mir.ModuleID    { return ids.Store }

// A commit counts in the first views, whichever it names.
func TestCommitsOfDifferentViewsCountedTogetherAreCaught(t *testing.T) {
	wantCaught(t, "decision by a quorum", 40, wrap(ordering, func(_ replica.IDs, inner mir.Module) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			inner.Apply(ev, out)
			e, ok := ev.Body.(mir.Received)
			if !ok {
				return
			}
			if m, ok := e.Msg.(pbft.Commit); ok {
				for view := range types.View(3) {
					again := pbft.Commit{View: view, Seq: m.Seq, Digest: m.Digest}
					inner.Apply(mir.Event{To: ev.To, Sub: ev.Sub, Body: mir.Received{From: e.From, Msg: again}}, out)
				}
			}
		})
	}))
}

// What was dropped as a duplicate is delivered after all.
func TestDuplicateFilterSwitchedOffIsCaught(t *testing.T) {
	wantCaught(t, "no duplicate delivery", 20, wrap(delivering, func(ids replica.IDs, inner mir.Module) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			inner.Apply(ev, out)
			for _, emitted := range slices.Clone(out.Events()) {
				progress, ok := emitted.Body.(types.Progress)
				if !ok {
					continue
				}
				for _, id := range progress.Dropped {
					out.Emit(ids.Results, types.Delivered{Tx: types.Tx{TxID: id}})
				}
			}
		})
	}))
}

// credulous takes every signature for one domain, so that faulty replicas of
// weight f make a certificate alone.
type credulous struct {
	crypto.Crypto
	domain crypto.Domain
}

func (c credulous) Verify(signer types.NodeID, domain crypto.Domain, msg, sig []byte) error {
	if domain == c.domain {
		return nil
	}
	return c.Crypto.Verify(signer, domain, msg, sig)
}

func (c credulous) VerifyAll(domain crypto.Domain, msg []byte, sigs []types.Signature) error {
	if domain == c.domain {
		return nil
	}
	return c.Crypto.VerifyAll(domain, msg, sigs)
}

func TestCertificateOfFaultyReplicasAloneIsCaught(t *testing.T) {
	wantCaught(t, "a certificate has a correct holder", 40, func(s *Scenario) {
		for i := range s.Byzantine {
			s.Byzantine[i].Acts = []string{"badcerts"}
		}
		s.Seams.Crypto = func(_ types.NodeID, c crypto.Crypto) crypto.Crypto {
			return credulous{Crypto: c, domain: availability.AckDomain}
		}
	})
}

// change changes events that a module emits, those included that wait for the
// store.
func change(events []mir.Event, what func(mir.Body) mir.Body) {
	for i := range events {
		events[i].Body = what(events[i].Body)
		if p, ok := events[i].Body.(types.Persist); ok {
			p.Then = slices.Clone(p.Then)
			change(p.Then, what)
			events[i].Body = p
		}
	}
}

// A checkpoint module that is content with one signature less than a quorum.
func TestCheckpointOf2fIsCaught(t *testing.T) {
	wantCaught(t, "checkpoint integrity", 5, wrap(voting, func(_ replica.IDs, inner mir.Module) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			inner.Apply(ev, out)
			change(out.Events(), func(body mir.Body) mir.Body {
				if e, ok := body.(types.StableCheckpoint); ok {
					e.Sigs = e.Sigs[:len(e.Sigs)-1]
					return e
				}
				return body
			})
		})
	}))
}

// A replica whose state transfer installs what anybody sends.
func TestUnverifiedSnapshotIsCaught(t *testing.T) {
	wantCaught(t, "checkpoint integrity", 60, wrap(transfers, func(_ replica.IDs, inner mir.Module) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			inner.Apply(ev, out)
			change(out.Events(), func(body mir.Body) mir.Body {
				if e, ok := body.(types.InstallSnapshot); ok {
					e.Data = bytes.Clone(e.Data)
					e.Data[len(e.Data)-1] ^= 1
					return e
				}
				return body
			})
		})
	}))
}

// A store that keeps no votes: what a replica signed is forgotten with a crash.
func TestVotesNotPersistedAreCaught(t *testing.T) {
	wantCaught(t, "no contradiction", 100, wrap(storing, func(_ replica.IDs, inner mir.Module) mir.Module {
		return mir.ModuleFunc(func(ev mir.Event, out *mir.Out) {
			if e, ok := ev.Body.(types.Persist); ok {
				e.Puts = slices.DeleteFunc(slices.Clone(e.Puts), func(r types.Record) bool {
					return r.Key[0] == types.RecordsOrdering
				})
				ev.Body = e
			}
			inner.Apply(ev, out)
		})
	}))
}
