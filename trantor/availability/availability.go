package availability

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/quorum"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of an Availability.
type Config struct {
	Self     mir.ModuleID
	Net      mir.ModuleID
	Timer    mir.ModuleID
	Store    mir.ModuleID // gets types.Persist
	Mempool  mir.ModuleID // gets types.BatchVoided
	Ordering mir.ModuleID // gets types.CertReady
	Delivery mir.ModuleID // gets types.BatchData

	Node        types.NodeID
	Members     quorum.Membership // of the epochs below ConfigDelay
	ConfigDelay int
	Crypto      crypto.Crypto

	BatchBytesMax int // a larger batch of a peer is refused
	WindowSize    int // batches of one creator that are not ordered
	HeldBytesMax  int // bytes of one creator's batches that are not ordered
	// StoringBytesMax is how many bytes of peers' batches may be on their way to the
	// disk, in equal shares; one batch of each creator always may.
	StoringBytesMax int
	Buckets         int // as the mempool's Buckets
	// CheckVote is the mempool's: a batch with a transaction of
	// types.ConfigClient that it refuses is not acknowledged.
	CheckVote   func(payload []byte, replicas int) error
	BucketGrace int           // epochs for which a batch may still be acknowledged after its own
	KeepEpochs  int           // epochs for which a batch outlives its epoch's checkpoint
	RetryAfter  time.Duration // then an unanswered batch or request is sent again
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Members.N() == 0:
		return fmt.Errorf("availability: Members is empty")
	case c.ConfigDelay < 1:
		return fmt.Errorf("availability: ConfigDelay is %d, want 1 or more", c.ConfigDelay)
	case c.BatchBytesMax < 1 || c.BatchBytesMax > types.MaxBatchBytes:
		return fmt.Errorf("availability: BatchBytesMax is %d, want 1 to %d", c.BatchBytesMax, types.MaxBatchBytes)
	case c.WindowSize < 1 || c.WindowSize > types.MaxWindow:
		return fmt.Errorf("availability: WindowSize is %d, want 1 to %d", c.WindowSize, types.MaxWindow)
	case c.HeldBytesMax < c.BatchBytesMax:
		return fmt.Errorf("availability: HeldBytesMax is %d, less than a batch of %d", c.HeldBytesMax, c.BatchBytesMax)
	case c.StoringBytesMax < 0:
		return fmt.Errorf("availability: StoringBytesMax is %d, want 0 or more", c.StoringBytesMax)
	case c.Buckets < 0:
		return fmt.Errorf("availability: Buckets is %d, want 0 or more", c.Buckets)
	case c.BucketGrace < 0:
		return fmt.Errorf("availability: BucketGrace is %d, want 0 or more", c.BucketGrace)
	case c.KeepEpochs < 0:
		return fmt.Errorf("availability: KeepEpochs is %d, want 0 or more", c.KeepEpochs)
	case c.RetryAfter <= 0:
		return fmt.Errorf("availability: RetryAfter is %v, want more than 0", c.RetryAfter)
	}
	return nil
}

// Stats counts what was refused, by reason, and what had to be done twice. Only
// faulty peers, loss and lagging make these grow.
type Stats struct {
	BadSize        uint64 // batches larger than BatchBytesMax
	OutsideWindow  uint64 // batches with a number that is used or too far ahead
	HeldFull       uint64 // batches beyond HeldBytesMax
	StoringFull    uint64 // batches beyond their creator's share of StoringBytesMax
	Malformed      uint64 // batches that do not decode
	ForeignBuckets uint64 // batches with a transaction that is not their creator's to order
	BadVotes       uint64 // batches with a transaction of types.ConfigClient that is no vote, or that is not looked at because of one before
	WrongEpoch     uint64 // batches of an epoch too old or too far ahead
	EarlyFull      uint64 // batches of the next epoch beyond EarlyMax
	Equivocations  uint64 // second batches for a number
	BadAcks        uint64 // acknowledgements of another digest, or with a bad signature, or after one in an epoch
	BadResponses   uint64 // responses that nobody asked for or with other data
	NotHeld        uint64 // requests for a batch that is not here
	Throttled      uint64 // requests beyond AnswerMax
	Misaddressed   uint64 // messages of strangers, or of other modules
	Resent         uint64 // own batches sent again
	Voided         uint64 // own batches that no certificate came for in time
}

// Availability is the module.
type Availability struct {
	cfg Config

	schedule *types.Schedule
	epoch    types.Epoch                    // the current one
	members  quorum.Membership              // of the current epoch
	others   []types.NodeID                 // members without this replica
	leaders  map[types.Epoch][]types.NodeID // of the current epoch and BucketGrace before, as far as known

	creators []*creator // by replica
	peers    []peer     // by replica
	used     []usedBatch

	next       types.BatchNo // number of this replica's next batch
	collecting map[types.BatchNo]*collection
	order      []types.BatchNo  // ascending; holds every number of collecting
	resendFrom types.BatchNo    // where the next tick begins to send again
	queue      []types.NewBatch // own batches beyond the window; the mempool bounds them

	fetches map[BatchID]*fetch // Invariant: those asked for and those in waiting.
	asking  []*fetch           // Invariant: at most FetchesMax.
	waiting []*fetch           // to be asked for, oldest first

	ticking bool // Invariant: set while the timer is.
	spent   bool // some peer got an answer since the last tick

	stats Stats
}

// peer is what is known of a replica as a receiver.
type peer struct {
	exposed  bool // it gave a bad signature in this epoch, which no correct replica does
	known    bool // a member of some epoch from the current one on, or of BucketGrace before
	wait     int  // ticks between two resends to it
	left     int  // ticks until the next one
	answered int  // bytes of answers since the last tick
}

// tick is the module's one timeout.
type tick struct{}

func (tick) EventName() string { return "availability.Tick" }

// New makes an empty store. It panics where cfg is not valid.
func New(cfg Config) *Availability {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	a := &Availability{
		cfg:        cfg,
		leaders:    map[types.Epoch][]types.NodeID{},
		collecting: map[types.BatchNo]*collection{},
		fetches:    map[BatchID]*fetch{},
	}
	genesis := make([]types.EpochConfig, cfg.ConfigDelay)
	for i := range genesis {
		genesis[i] = types.EpochConfig{Epoch: types.Epoch(i), Members: cfg.Members}
	}
	a.setSchedule(types.ScheduleOf(genesis), 0)
	return a
}

// Stats is what was refused so far.
func (a *Availability) Stats() Stats { return a.stats }

// Held is for how many numbers a batch is stored.
func (a *Availability) Held() int {
	n := 0
	for _, c := range a.creators {
		n += len(c.batches)
	}
	return n
}

// Apply implements mir.Module.
func (a *Availability) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.NewBatch:
		a.queue = append(a.queue, e)
		a.startQueued(out)
	case durable:
		a.onDurable(e.no, out)
	case stored:
		a.onStored(e, out)
	case types.NeedBatch:
		a.onNeedBatch(e.Cert, out)
	case types.BatchUsed:
		a.onBatchUsed(e, out)
	case types.StableCheckpoint:
		a.collect(e.Epoch, out)
	case types.CertStale:
		a.onCertStale(e.Cert, out)
	case types.EpochConfig:
		a.onEpochConfig(e)
	case types.EpochBegun:
		a.onEpochBegun(e, out)
	case types.Restored:
		a.onRestored(e, out)
	case types.Boot:
		a.onBoot(out)
	case tick:
		a.onTick(out)
	case mir.Received:
		a.onReceived(e, out)
	default:
		panic(fmt.Sprintf("availability: invariant broken: got %s", ev.Body.EventName()))
	}
	a.setTick(out)
}

func (a *Availability) onReceived(e mir.Received, out *mir.Out) {
	if e.From == a.cfg.Node || int64(e.From) >= int64(len(a.peers)) || !a.peers[e.From].known {
		a.stats.Misaddressed++
		return
	}
	switch m := e.Msg.(type) {
	case Batch:
		a.onBatch(e.From, m, out)
	case Ack:
		a.onAck(e.From, m, out)
	case Request:
		a.onRequest(e.From, m, out)
	case Response:
		a.onResponse(e.From, m, out)
	default:
		a.stats.Misaddressed++
	}
}

func (a *Availability) onTick(out *mir.Out) {
	a.ticking, a.spent = false, false
	a.resend(out)
	a.voidOld(out)
	a.askAgain(out)
	for i := range a.peers {
		a.peers[i].answered = 0
	}
}

// setTick sets the timer while something is under way that a tick moves on.
func (a *Availability) setTick(out *mir.Out) {
	if a.ticking || !a.spent && len(a.collecting) == 0 && len(a.fetches) == 0 {
		return
	}
	a.ticking = true
	out.Emit(a.cfg.Timer, mir.SetTimer{
		ID:    mir.TimerID{Owner: a.cfg.Self},
		After: a.cfg.RetryAfter,
		Fire:  mir.Event{To: a.cfg.Self, Body: tick{}},
	})
}

func (a *Availability) send(to []types.NodeID, msg mir.Message, out *mir.Out) {
	if len(to) > 0 {
		out.Emit(a.cfg.Net, a.message(to, msg))
	}
}

func (a *Availability) message(to []types.NodeID, msg mir.Message) mir.Send {
	return mir.Send{To: to, Dest: a.cfg.Self, Msg: msg}
}
