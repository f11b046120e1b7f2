package workload

import (
	"time"

	"github.com/perfgate/perfgate/trantor/types"
)

// tick is how long a client that is ahead of its schedule sleeps, at least: a
// system timer is not more exact than that.
const tick = 500 * time.Microsecond

// Open is a cluster under an open loop: transactions are due at a constant
// rate, whether or not earlier ones are delivered. The latency of a transaction
// begins when it is due, not when it could be handed over, and ends when the
// replica that got it has delivered it. A cluster that cannot keep up therefore
// shows in the latencies of all that had to wait (no coordinated omission), and
// every transaction is a sample.
type Open struct {
	*Real
	rate      int
	schedule  Schedule
	epoch     time.Time     // of all times here
	now       time.Duration // when the clock was read last
	latencies []Histogram   // by replica, written by its goroutine
}

// NewOpen starts n replicas; Begin starts the schedule.
func NewOpen(n int, seed uint64, rate int) (*Open, error) {
	o := &Open{rate: rate, epoch: time.Now(), latencies: make([]Histogram, n)}
	var err error
	o.Real, err = newReal(n, seed, LiveParams(n), Place{}, o.observeDelivery)
	return o, err
}

func (o *Open) observeDelivery(id types.NodeID, i uint64) {
	if int(id) == o.origin(i) {
		o.latencies[id].Record(time.Since(o.epoch) - o.schedule.Due(i))
	}
}

func (o *Open) origin(i uint64) int { return int(i % uint64(len(o.nodes))) }

// Begin makes the next transaction due now. All before must be delivered:
// replicas read the schedule when they deliver.
func (o *Open) Begin() {
	for i := range o.latencies {
		o.latencies[i].Reset()
	}
	o.now = time.Since(o.epoch)
	o.schedule = NewSchedule(o.submitted, o.now, o.rate)
}

// Submit takes the next transaction when it is due, or at once when that has
// passed. Before it sleeps it hands over all that was due.
func (o *Open) Submit() error {
	due := o.schedule.Due(o.submitted)
	if due > o.now {
		o.now = time.Since(o.epoch)
	}
	if due > o.now {
		if err := o.flush(); err != nil {
			return err
		}
		time.Sleep(max(due-o.now, tick))
		o.now = time.Since(o.epoch)
	}
	return o.take(o.origin(o.submitted))
}

func (o *Open) flush() error {
	for to := range o.chunks {
		if err := o.handOver(to); err != nil {
			return err
		}
	}
	return nil
}

// Drain waits until all is delivered everywhere.
func (o *Open) Drain() error {
	if err := o.flush(); err != nil {
		return err
	}
	return o.wait(o.submitted)
}

// Latencies of all transactions since Begin. They must be drained.
func (o *Open) Latencies() *Histogram {
	all := &Histogram{}
	for i := range o.latencies {
		all.Add(&o.latencies[i])
	}
	return all
}
