package simtest

import (
	"slices"

	"github.com/perfgate/perfgate/mir/sim"
)

// What the protocol modules can take by now. Faults that one of these is missing
// for are not injected.
const (
	resendLanded   = false // Lost messages are sent again.
	recoverLanded  = false // Crashed replicas come back and contradict nothing.
	transferLanded = false // Replicas that are far behind get a snapshot.
	reconfigLanded = false // Epochs have members of their own.
)

// withoutPending takes out the faults that nothing can take yet.
func (s *Scenario) withoutPending() {
	if !resendLanded {
		s.Network.LossRate, s.Blackouts = 0, nil
		for i := range s.Partitions {
			s.Partitions[i].Mode = sim.Hold
		}
	}
	if !recoverLanded {
		s.Crashes = slices.DeleteFunc(s.Crashes, func(c Crash) bool { return c.Down != Forever })
	}
	if !reconfigLanded {
		s.Changes, s.Joiners = nil, 0
	}
	if !transferLanded {
		s.Params.KeepEpochs = 1000
		s.Params.EarlyMessageMax = 1 << 16
	}
}
