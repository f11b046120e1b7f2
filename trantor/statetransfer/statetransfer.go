package statetransfer

import (
	"fmt"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// Config of a StateTransfer.
type Config struct {
	Node types.NodeID

	Self       mir.ModuleID // This module: peers address it.
	Net        mir.ModuleID
	Timer      mir.ModuleID
	Delivery   mir.ModuleID // Gets types.AskExecuted and types.InstallSnapshot.
	Checkpoint mir.ModuleID // Gets types.InstallSnapshot and types.PeerBehind.

	ConfigDelay       int
	CatchUpAfter      time.Duration // Without progress for this long a snapshot is fetched.
	RetryAfter        time.Duration // Then the next server is asked.
	ChunksInFlightMax int           // Chunks asked for and not here.
	ServeChunksMax    int           // Chunks that one peer gets in RetryAfter.
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.ConfigDelay < 1:
		return fmt.Errorf("statetransfer: ConfigDelay is %d, want 1 or more", c.ConfigDelay)
	case c.CatchUpAfter <= 0:
		return fmt.Errorf("statetransfer: CatchUpAfter is %v, want more than 0", c.CatchUpAfter)
	case c.RetryAfter <= 0:
		return fmt.Errorf("statetransfer: RetryAfter is %v, want more than 0", c.RetryAfter)
	case c.ChunksInFlightMax < 1:
		return fmt.Errorf("statetransfer: ChunksInFlightMax is %d, want 1 or more", c.ChunksInFlightMax)
	case c.ServeChunksMax < listCost(types.SnapshotChunksMax):
		return fmt.Errorf("statetransfer: ServeChunksMax is %d, less than the %d that a list may count for",
			c.ServeChunksMax, listCost(types.SnapshotChunksMax))
	}
	return nil
}

// Stats say what was fetched and served, and why messages were dropped.
type Stats struct {
	Malformed  uint64 // Of a type that peers do not send, or from an impossible replica.
	Unasked    uint64 // Answers that were not asked for, or come too late.
	BadLists   uint64
	BadChunks  uint64
	NotHeld    uint64 // Requests for a snapshot that is not held.
	OverBudget uint64 // Requests of a peer beyond ServeChunksMax.
	Served     uint64 // Chunks.
	Started    uint64 // Transfers.
	Overtaken  uint64 // Transfers that were given up for a later checkpoint.
	Installed  uint64 // Snapshots that were complete.
}

// StateTransfer is the module.
type StateTransfer struct {
	cfg   Config
	stats Stats

	executed types.Epoch             // The epochs below are executed here.
	stable   *types.StableCheckpoint // The latest; nil before the first.
	watch    watch
	fetch    *fetch // Nil while nothing is fetched.
	order
	server
	ticking bool
}

// watch waits for a replica that is behind to catch up by itself.
type watch struct {
	on       bool
	due      bool   // CatchUpAfter has passed since marked.
	marked   bool   // Delivery has said how far it is.
	progress uint64 // Then.
}

// tick fires every RetryAfter while something is fetched or was served, and
// watched CatchUpAfter after a replica was found behind.
type (
	tick    struct{}
	watched struct{}
)

func (tick) EventName() string    { return "statetransfer.Tick" }
func (watched) EventName() string { return "statetransfer.Watched" }

// Numbers of the module's timers.
const (
	tickTimer  = 0
	watchTimer = 1
)

// New makes a module that has nothing to fetch. It panics where cfg is not valid.
func New(cfg Config) *StateTransfer {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	// Each replica begins with another server.
	first := order{turn: int(cfg.Node), failed: map[types.NodeID]bool{}, patience: 1}
	return &StateTransfer{cfg: cfg, order: first, server: newServer()}
}

// Stats may be read between events.
func (t *StateTransfer) Stats() Stats { return t.stats }

// Fetching is the epoch whose snapshot is being fetched.
func (t *StateTransfer) Fetching() (types.Epoch, bool) {
	if t.fetch == nil {
		return 0, false
	}
	return t.fetch.checkpoint.Epoch, true
}

// Recover goes on after a restart. The module writes no records.
func (t *StateTransfer) Recover(records []types.Record, from *types.Restored) error {
	if len(records) > 0 {
		return fmt.Errorf("recovering state transfer: record %x, want none", records[0].Key)
	}
	if from != nil {
		t.executed = from.Epoch + 1
	}
	return nil
}

// Apply implements mir.Module.
func (t *StateTransfer) Apply(ev mir.Event, out *mir.Out) {
	switch e := ev.Body.(type) {
	case types.StableCheckpoint:
		t.onStable(e, out)
	case types.HeldSnapshot:
		t.server.add(e)
	case types.EpochConfig:
		// It comes at the end of the epoch ConfigDelay before.
		t.becomeExecuted(e.Epoch+1-types.Epoch(t.cfg.ConfigDelay), out)
	case types.Restored:
		t.becomeExecuted(e.Epoch+1, out)
	case types.Executed:
		t.onExecuted(e, out)
	case watched:
		t.watch.due = true
		out.Emit(t.cfg.Delivery, types.AskExecuted{})
	case tick:
		t.onTick(out)
	case types.Boot:
	case mir.Received:
		t.onReceived(e, out)
	default:
		panic(fmt.Sprintf("statetransfer: invariant broken: got %s", ev.Body.EventName()))
	}
}

func (t *StateTransfer) onReceived(e mir.Received, out *mir.Out) {
	if e.From >= types.MaxReplicas {
		t.stats.Malformed++
		return
	}
	switch m := e.Msg.(type) {
	case GetList:
		t.onGetList(e.From, m, out)
	case GetChunk:
		t.onGetChunk(e.From, m, out)
	case List:
		t.onList(e.From, m, out)
	case Chunk:
		t.onChunk(e.From, m, out)
	default:
		t.stats.Malformed++
	}
}

func (t *StateTransfer) onStable(s types.StableCheckpoint, out *mir.Out) {
	if t.stable == nil || s.Epoch > t.stable.Epoch {
		t.stable = &s
	}
	t.review(out)
}

func (t *StateTransfer) becomeExecuted(e types.Epoch, out *mir.Out) {
	t.executed = max(t.executed, e)
	t.review(out)
}

// lagging tells whether a stable checkpoint is ahead of this replica.
func (t *StateTransfer) lagging() bool { return t.stable != nil && t.stable.Epoch >= t.executed }

// review begins to watch a replica that is behind, and ends what is of no use any
// more. One that has caught up bears no server a grudge.
func (t *StateTransfer) review(out *mir.Out) {
	if t.fetch != nil && t.fetch.checkpoint.Epoch < t.executed {
		t.fetch = nil
	}
	if !t.lagging() {
		clear(t.failed)
		t.patience = 1
	}
	switch {
	case !t.lagging() && t.watch.on:
		t.unwatch(out)
	case t.lagging() && !t.watch.on && t.fetch == nil:
		t.watch = watch{on: true}
		t.setWatch(out)
		out.Emit(t.cfg.Delivery, types.AskExecuted{})
	}
}

func (t *StateTransfer) setWatch(out *mir.Out) {
	t.setTimer(watchTimer, t.cfg.CatchUpAfter, watched{}, out)
}

func (t *StateTransfer) unwatch(out *mir.Out) {
	t.watch = watch{}
	out.Emit(t.cfg.Timer, mir.CancelTimer{ID: mir.TimerID{Owner: t.cfg.Self, N: watchTimer}})
}

// onExecuted decides whether a replica that is behind helps itself.
func (t *StateTransfer) onExecuted(e types.Executed, out *mir.Out) {
	t.becomeExecuted(e.Epoch, out)
	if !t.watch.on {
		return
	}
	w := &t.watch
	switch {
	case e.Behind, w.due && w.marked && w.progress == e.Progress:
		t.unwatch(out)
		t.start(out)
	case w.due:
		t.setWatch(out)
		fallthrough
	default:
		*w = watch{on: true, marked: true, progress: e.Progress}
	}
}

func (t *StateTransfer) setTimer(n uint64, after time.Duration, fire mir.Body, out *mir.Out) {
	out.Emit(t.cfg.Timer, mir.SetTimer{
		ID: mir.TimerID{Owner: t.cfg.Self, N: n}, After: after, Fire: mir.Event{To: t.cfg.Self, Body: fire},
	})
}

func (t *StateTransfer) arm(out *mir.Out) {
	if !t.ticking {
		t.ticking = true
		t.setTimer(tickTimer, t.cfg.RetryAfter, tick{}, out)
	}
}

func (t *StateTransfer) onTick(out *mir.Out) {
	t.ticking = false
	if t.fetch != nil {
		t.retry(out)
	}
	if t.server.refill() || t.fetch != nil {
		t.arm(out)
	}
}

func (t *StateTransfer) send(to types.NodeID, m mir.Message, out *mir.Out) {
	out.Emit(t.cfg.Net, mir.Send{To: []types.NodeID{to}, Dest: t.cfg.Self, Msg: m})
}
