package workload

import (
	"time"

	"github.com/perfgate/perfgate/trantor/replica"
)

// The usual workload.
const (
	PayloadBytes = 256 // of a transaction
	Clients      = 64  // in all
	BatchTxs     = 128 // transactions in a batch
)

// WarmTxs are submitted before a run is measured: 32 batches.
const WarmTxs = 32 * BatchTxs

// slotsPerLeader is how many slots of an epoch each replica leads where epochs
// are short.
const slotsPerLeader = 8

// beyondReach is a timeout that fires in no run.
const beyondReach = 24 * time.Hour

// FixedParams make n replicas do the same work however fast they are: batches
// close when they hold BatchTxs transactions, which takes clients without buckets,
// no timeout is within reach, and epochs are short, so that a short run has
// several.
func FixedParams(n int) replica.Params {
	p := replica.DefaultParams(n)
	p.BatchTxsMax, p.BatchTimeout, p.CloseWhenIdle, p.Buckets = BatchTxs, beyondReach, false, 0
	p.EpochLength = slotsPerLeader * n
	p.ViewTimeout, p.RetryAfter, p.ResendAfter = beyondReach, beyondReach, beyondReach
	return p
}

// MinTxs is the least number of transactions that says something about n
// replicas with FixedParams: two epochs with one batch in each slot, and at
// least 64 batches.
func MinTxs(n int) int { return max(2*slotsPerLeader*n, 64) * BatchTxs }

// LiveParams are what replicas use by default: batches close when they are
// full, when nothing else is on its way, or after a moment. Only the timeout
// that would hide a fault is beyond reach.
func LiveParams(n int) replica.Params {
	p := replica.DefaultParams(n)
	p.ViewTimeout = beyondReach
	return p
}

// VoidError is why a run did not measure what it should.
type VoidError struct{ Reason string }

func (e VoidError) Error() string { return "void run: " + e.Reason }
