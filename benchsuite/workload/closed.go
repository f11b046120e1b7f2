package workload

import (
	"fmt"
	"time"
)

// batchesInFlight is how many batches of each replica are on their way in a
// closed loop: enough to keep a leader busy, fewer than it may have undecided.
const batchesInFlight = 8

// Closed is a saturated cluster: clients submit the next transaction as soon as
// one of a fixed number is delivered everywhere. A replica gets as many
// transactions in a row as one batch holds, so that the batches of a run, and
// the work in it, do not depend on time.
type Closed struct {
	*Real
	inFlightMax uint64
	stalled     *time.Timer // Stopped while nobody waits.
}

// NewClosed starts n replicas.
func NewClosed(n int, seed uint64, place Place) (*Closed, error) {
	r, err := newReal(n, seed, FixedParams(n), place, nil)
	if err != nil {
		return nil, err
	}
	c := &Closed{Real: r, inFlightMax: uint64(batchesInFlight * n * BatchTxs), stalled: time.NewTimer(stalledAfter)}
	c.stalled.Stop()
	return c, nil
}

// Submit takes the next transaction, and waits at the beginning of a batch
// until there is room for it in flight.
func (c *Closed) Submit() error {
	if c.submitted%BatchTxs == 0 {
		if err := c.waitForRoom(); err != nil {
			return err
		}
	}
	return c.take(int(c.submitted / BatchTxs % uint64(len(c.nodes))))
}

func (c *Closed) waitForRoom() error {
	if c.hasRoom() {
		return nil
	}
	c.stalled.Reset(stalledAfter)
	defer c.stalled.Stop()
	for !c.hasRoom() {
		select {
		case <-c.progress:
		case <-c.stalled.C:
			return c.because(fmt.Errorf("no progress: %d transactions submitted, %d delivered everywhere", c.submitted, c.deliveredByAll()))
		}
	}
	return nil
}

// hasRoom tells whether another batch may be on its way.
func (c *Closed) hasRoom() bool {
	return c.submitted-c.deliveredByAll()+BatchTxs <= c.inFlightMax
}

// Drain fills up the last batch with further transactions, and waits until all
// are delivered everywhere.
func (c *Closed) Drain() error {
	for c.submitted%BatchTxs != 0 {
		if err := c.take(int(c.submitted / BatchTxs % uint64(len(c.nodes)))); err != nil {
			return err
		}
	}
	return c.wait(c.submitted)
}
