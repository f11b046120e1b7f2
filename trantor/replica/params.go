package replica

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/trantor/ordering/iss"
	"github.com/perfgate/perfgate/trantor/ordering/pbft"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Params are the settings that all replicas of a system share. ClientWindow,
// ClientsMax, BatchWindow, ClientOrder, KeptBytesMax, EpochLength, EpochsAheadMax,
// CertsPerSlotMax and LeaderPolicy decide what is delivered or what a snapshot
// holds, so replicas that differ in them would diverge; the others only should agree.
type Params struct {
	// Batches.
	BatchTxsMax   int
	BatchBytesMax int
	BatchTimeout  time.Duration
	CloseWhenIdle bool // cut a batch at once where none of this replica is on its way

	// Clients.
	PayloadBytesMax int // bytes of one payload
	PendingBytesMax int // accepted by one replica and not delivered
	ClientWindow    int // numbers a client may be ahead of its lowest undelivered one
	ClientsMax      int // clients that anything is ever delivered of; they keep their places for good

	// Buckets.
	Buckets           int // of clients, shared out among the leaders of an epoch; 0 for none; all replicas have the same
	BucketGrace       int // epochs for which a batch may still be certified after its own
	ForwardedBytesMax int // of PendingBytesMax, what one peer forwarded

	// Availability.
	BatchWindow int           // batches of one replica that are not ordered
	KeepEpochs  int           // epochs for which batches, instances and snapshots outlive their checkpoint
	RetryAfter  time.Duration // then what got no answer is sent again

	// Ordering.
	EpochLength     int           // slots in an epoch
	EpochsAheadMax  int           // epochs that may begin above the last stable checkpoint
	CertsPerSlotMax int           // certificates in one proposal
	OwnInFlightMax  int           // proposals of one replica that are undecided
	LeaderPolicy    iss.Policy    // who leads an epoch, by what the log says
	HeartbeatAfter  time.Duration // time from one status to the next: all that an idle replica sends
	EarlyMessageMax int           // messages of one peer kept for epochs that have not begun here
	EarlyBytesMax   int           // and their bytes
	HandedMax       int           // certificates of one peer that does not lead, queued at a leader
	ViewTimeout     time.Duration // a leader that is silent for this long is deposed
	ResendAfter     time.Duration // then votes that decided nothing yet are sent again

	// Delivery.
	SlotsFetchingMax int  // slots whose batches are asked for ahead of need
	SlotsQueuedMax   int  // slots waiting for batches; with more the replica has fallen behind
	ClientOrder      bool // deliver the transactions of each client strictly by number
	KeptBytesMax     int  // of transactions that wait for lower numbers of their client

	// State transfer.
	CatchUpAfter      time.Duration // then a replica that executes nothing asks for the state of a later checkpoint
	ChunksInFlightMax int           // chunks of a snapshot asked for and not here
	ServeChunksMax    int           // chunks that one peer gets in RetryAfter
}

// ConfigDelay is how many epochs pass from the one that delivers a change of the
// configuration to the first that has it. An epoch begins at most EpochsAheadMax
// above the last stable checkpoint, so the epoch that delivered its configuration
// is executed here by then.
func (p Params) ConfigDelay() int { return p.EpochsAheadMax + 2 }

// DefaultParams suit n replicas in one data centre.
//
// EarlyMessageMax: a peer that is EpochsAheadMax epochs ahead has sent at most
// three messages for each of their slots (proposal, prepare, commit); with
// EarlyBytesMax a faulty one takes 8 MiB at most. HandedMax: the BatchWindow of
// one creator, of about 350 bytes each at n = 4.
//
// Memory that faulty peers can make a replica hold: PendingBytesMax of
// batches that are not ordered, 64 MiB, for each of them; a correct replica has no
// more. Clients:
// PendingBytesMax, of which the share of each peer leaves half to this replica's
// own clients, among up to 64 replicas, and a window of 4096 bits (512 bytes) twice for each of
// ClientsMax, 64 MiB. Delivered batches: those of KeepEpochs epochs and of the
// at most EpochsAheadMax that have no stable checkpoint; an epoch, at 32 slots of
// a replica and 256 KiB in a slot, has 8 MiB for each replica. A faulty one can
// put CertsPerSlotMax batches of BatchBytesMax into each slot, which is 1 GiB.
//
// CertsPerSlotMax: a slot has 64 certificates where the largest new view fits
// types.MaxMessageBytes, and fewer above 112 replicas. With the bound of package
// pbft, 3/2 * 32n slots in the segments of all leaders, of whom one in three may
// be kept out, make 48 * 72n * CertsPerSlotMax bytes in that of one:
// 24 MiB where n * CertsPerSlotMax is 7,168, and 28 MiB where the slots of an
// epoch do not divide evenly.
//
// SlotsQueuedMax leaves room for 16 epochs, more than twice what ordering may be
// ahead of delivery.
func DefaultParams(n int) Params {
	return Params{
		BatchTxsMax: 1024, BatchBytesMax: 512 << 10, BatchTimeout: 5 * time.Millisecond, CloseWhenIdle: true,
		PayloadBytesMax: 64 << 10, PendingBytesMax: 64 << 20, ClientWindow: 4096, ClientsMax: 1 << 16,
		Buckets: 16 * n, BucketGrace: 2, ForwardedBytesMax: max(64<<20/(2*n), 512<<10),
		BatchWindow: 256, KeepEpochs: 1, RetryAfter: time.Second,
		EpochLength: 32 * n, EpochsAheadMax: 4, CertsPerSlotMax: max(1, min(64, 7168/n)), OwnInFlightMax: 16,
		LeaderPolicy: iss.Blacklist, HeartbeatAfter: time.Second,
		EarlyMessageMax: 4 * 3 * 32 * n, EarlyBytesMax: 8 << 20, HandedMax: 256,
		ViewTimeout: 2 * time.Second, ResendAfter: time.Second,
		SlotsFetchingMax: 64, SlotsQueuedMax: 8 * 64 * n, KeptBytesMax: 16 << 20, CatchUpAfter: 2 * time.Second, ChunksInFlightMax: 16, ServeChunksMax: 64,
	}
}

// Validate reports the first setting, for these members, that is wrong and that
// no module can find wrong for itself.
func (p Params) Validate(members quorum.Membership) error {
	// Ordering begins an epoch when its members are known, which is when delivery
	// has ended the one ConfigDelay before. Slots, and the ends of epochs:
	ahead := (p.ConfigDelay() + 1) * (p.EpochLength + 1)
	if err := p.checkSegments(members); err != nil {
		return err
	}
	switch {
	case members.N() > types.MaxReplicas:
		return fmt.Errorf("replica: %d replicas, limit %d", members.N(), types.MaxReplicas)
	case p.SlotsQueuedMax < ahead:
		return fmt.Errorf("replica: SlotsQueuedMax is %d, less than the %d items of %d epochs that may be ahead of delivery",
			p.SlotsQueuedMax, ahead, p.ConfigDelay()+1)
	case p.ViewTimeout <= 0:
		return fmt.Errorf("replica: ViewTimeout is %v, want more than 0", p.ViewTimeout)
	case p.ResendAfter <= 0:
		return fmt.Errorf("replica: ResendAfter is %v, want more than 0", p.ResendAfter)
	case p.HandedMax < p.BatchWindow:
		return fmt.Errorf("replica: HandedMax is %d, less than the BatchWindow of %d that one peer may hand over", p.HandedMax, p.BatchWindow)
	case p.CatchUpAfter <= 0:
		return fmt.Errorf("replica: CatchUpAfter is %v, want more than 0", p.CatchUpAfter)
	}
	return nil
}

// checkSegments reports where the members could come to lead segments that PBFT
// cannot agree on: with too many slots, or with a new view that the network does
// not carry, so that the segment could never change its view.
func (p Params) checkSegments(members quorum.Membership) error {
	leaders := max(1, min(p.LeaderPolicy.LeadersMin(members), p.EpochLength))
	slots := (p.EpochLength + leaders - 1) / leaders
	if slots > pbft.MaxSlots {
		return fmt.Errorf("replica: EpochLength is %d: %d slots for each of %d leaders, limit %d", p.EpochLength, slots, leaders, pbft.MaxSlots)
	}
	if size := pbft.NewViewBytesMax(members.N(), slots, p.CertsPerSlotMax); size > types.MaxMessageBytes {
		return fmt.Errorf("replica: CertsPerSlotMax is %d: with %d slots for each of %d leaders a new view of %d members has up to %d bytes, limit %d",
			p.CertsPerSlotMax, slots, leaders, members.N(), size, types.MaxMessageBytes)
	}
	return nil
}
