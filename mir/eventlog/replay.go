package eventlog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// Why a recording can not be replayed, or not further.
var (
	// ErrIncomplete reports events that were dropped or filtered out.
	ErrIncomplete = errors.New("the recording is incomplete")
	// ErrUndecodable reports an input whose body was kept as a summary only.
	ErrUndecodable = errors.New("the input can not be decoded")
	// ErrDiverged reports that the modules did something else than those that
	// were recorded: they are other code, or not deterministic.
	ErrDiverged = errors.New("the replay diverged from the recording")
)

// ReplayConfig describes the node to replay. Modules are those of the recorded
// node as it started, but for Net and Timer, which Replay serves.
type ReplayConfig struct {
	Node    mir.NodeID
	Codec   mir.Codec // The recorder's.
	Names   *mir.Names
	Modules []mir.Registration
	Net     mir.ModuleID
	Timer   mir.ModuleID
	// Deferred stand in for active modules that answer later by injecting
	// events, as a store does once something is durable. What a stand-in emits
	// is not applied at once: it waits, in order, until the recording has it as
	// an input. So their answers can be replayed whatever their form is.
	Deferred []mir.Registration
}

// NetInput stands for an event that the recorded network module injected to
// itself, by the name of its body. A replay has another network: such an event
// is a step that does nothing.
type NetInput struct{ Name string }

// EventName implements mir.Body.
func (n NetInput) EventName() string { return n.Name }

// Replay gives the recorded inputs of one node to modules, one event a step, and
// compares what they do with the recording. Messages that they send go nowhere,
// but for those to the node itself; timers fire when they did.
//
// Inputs are rebuilt from what the recording has of them: see the package
// comment for which can be.
type Replay struct {
	cfg     ReplayConfig
	reader  *Reader
	machine *mir.Machine
	bodies  describer
	timers  replayTimers
	waiting []mir.Event // From Deferred, oldest first.
	step    int
	err     error
}

// NewReplay wires the modules. The reader must not have been read from.
func NewReplay(reader *Reader, cfg ReplayConfig) (*Replay, error) {
	if reader.Header().Partial {
		return nil, fmt.Errorf("replaying: %w: events were filtered out", ErrIncomplete)
	}
	p := &Replay{
		cfg: cfg, reader: reader, bodies: describer{codec: cfg.Codec},
		timers: replayTimers{pending: map[mir.TimerID]*replayTimer{}},
	}
	table := append([]mir.Registration{
		{ID: cfg.Net, Module: mir.ModuleFunc(p.onSend)},
		{ID: cfg.Timer, Module: &p.timers},
	}, cfg.Modules...)
	for _, d := range cfg.Deferred {
		table = append(table, mir.Registration{ID: d.ID, Module: p.deferring(d.Module)})
	}
	var err error
	p.machine, err = mir.NewMachine(mir.MachineConfig{Names: cfg.Names, Modules: table})
	if err != nil {
		return nil, fmt.Errorf("replaying: %w", err)
	}
	return p, nil
}

// Step applies the node's next event, and returns it with its record. At the end
// it returns io.EOF. The error stays.
func (p *Replay) Step() (mir.Event, Record, error) {
	if p.err != nil {
		return mir.Event{}, Record{}, p.err
	}
	rec, err := p.next()
	if err != nil {
		p.err = err
		return mir.Event{}, rec, err
	}
	p.step++
	ev, err := p.apply(rec)
	if err != nil {
		p.err = fmt.Errorf("replaying event %d of node %d (%s at %v): %w", p.step, p.cfg.Node, rec.Event, rec.At, err)
	}
	return ev, rec, p.err
}

// next is the node's next record.
func (p *Replay) next() (Record, error) {
	for {
		rec, err := p.reader.Next()
		switch {
		case err != nil:
			return rec, err
		case p.reader.Dropped() > 0:
			return rec, fmt.Errorf("replaying: %w: the recorder dropped %d events", ErrIncomplete, p.reader.Dropped())
		case rec.Node == p.cfg.Node:
			return rec, nil
		}
	}
}

func (p *Replay) apply(rec Record) (mir.Event, error) {
	if pending := p.machine.Pending(); rec.Input != (pending == 0) {
		return mir.Event{}, fmt.Errorf("%w: %d events are pending", ErrDiverged, pending)
	}
	if rec.Input {
		p.timers.now = rec.At
		ev, err := p.input(rec)
		if _, own := ev.Body.(NetInput); own {
			return ev, nil
		}
		if err == nil {
			err = p.machine.Input(ev)
		}
		if err != nil {
			return ev, err
		}
	}
	ev, _, err := p.machine.Step()
	if err == nil {
		err = p.compare(ev, rec)
	}
	return ev, err
}

// input rebuilds the event of an input.
func (p *Replay) input(rec Record) (mir.Event, error) {
	if len(p.waiting) > 0 && p.compare(p.waiting[0], rec) == nil {
		ev := p.waiting[0]
		p.waiting = p.waiting[1:]
		return ev, nil
	}
	ev := mir.Event{To: rec.To, Sub: rec.Sub}
	if rec.To == p.cfg.Net {
		ev.Body = NetInput{Name: rec.Event}
		return ev, nil
	}
	switch rec.Form {
	case Due:
		ev.Body = mir.TimerDue{ID: rec.Timer, Set: rec.Set}
		return ev, nil
	case Summary:
		return p.fire(rec)
	}
	// A message may alias its bytes, and the reader does not use them again.
	msg, err := p.cfg.Codec.Decode(rec.Body)
	if err != nil {
		return ev, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	ev.Body = msg
	if rec.Form == Received {
		ev.Body = mir.Received{From: rec.From, Msg: msg}
	}
	return ev, nil
}

// fire finds the timer whose event the input was: package sim makes Fire itself
// an input.
func (p *Replay) fire(rec Record) (mir.Event, error) {
	for _, t := range p.timers.byDeadline() {
		if p.compare(t.fire, rec) == nil {
			delete(p.timers.pending, t.id)
			return t.fire, nil
		}
	}
	return mir.Event{}, ErrUndecodable
}

// compare wants ev to be what was recorded.
func (p *Replay) compare(ev mir.Event, rec Record) error {
	got := p.bodies.describe(ev)
	same := got.To == rec.To && got.Sub == rec.Sub && got.Event == rec.Event && got.Carried == rec.Carried &&
		got.Form == rec.Form && got.From == rec.From && got.Timer == rec.Timer && got.Set == rec.Set &&
		got.Truncated == rec.Truncated && bytes.Equal(got.Body, rec.Body)
	if same {
		return nil
	}
	return fmt.Errorf("%w: it applied %s to module %d, %s, and not to module %d, %s",
		ErrDiverged, got.Event, got.To, got.Detail(), rec.To, rec.Detail())
}

// deferring is a stand-in whose answers wait.
func (p *Replay) deferring(standIn mir.Module) mir.Module {
	return mir.ModuleFunc(func(ev mir.Event, _ *mir.Out) {
		var out mir.Out
		standIn.Apply(ev, &out)
		p.waiting = append(p.waiting, out.Events()...)
	})
}

// onSend is the network module.
func (p *Replay) onSend(ev mir.Event, out *mir.Out) {
	send, ok := ev.Body.(mir.Send)
	if !ok {
		panic(fmt.Sprintf("eventlog: invariant broken: the network was sent %s", ev.Body.EventName()))
	}
	for _, to := range send.To {
		if to == p.cfg.Node {
			out.EmitSub(send.Dest, send.Sub, mir.Received{From: to, Msg: send.Msg})
		}
	}
}

// replayTimers is the timer module of a replay. It fires nothing by itself: what
// fired is an input, either mir.TimerDue, as mir.RealTimer has it, or the event
// itself, as package sim does.
type replayTimers struct {
	pending map[mir.TimerID]*replayTimer
	sets    uint64        // SetTimer events applied, as mir.RealTimer counts them.
	now     time.Duration // The time of the last input.
}

type replayTimer struct {
	id   mir.TimerID
	set  uint64
	at   time.Duration
	fire mir.Event
}

// Apply implements mir.Module.
func (t *replayTimers) Apply(ev mir.Event, out *mir.Out) {
	switch body := ev.Body.(type) {
	case mir.SetTimer:
		t.sets++
		t.pending[body.ID] = &replayTimer{id: body.ID, set: t.sets, at: t.now + max(0, body.After), fire: body.Fire}
	case mir.CancelTimer:
		delete(t.pending, body.ID)
	case mir.TimerDue:
		if due := t.pending[body.ID]; due != nil && due.set == body.Set {
			delete(t.pending, body.ID)
			out.EmitSub(due.fire.To, due.fire.Sub, due.fire.Body)
		}
	default:
		panic(fmt.Sprintf("eventlog: invariant broken: the timer was sent %s", ev.Body.EventName()))
	}
}

// byDeadline lists the timers that are set, in the order in which they fire.
func (t *replayTimers) byDeadline() []*replayTimer {
	var all []*replayTimer
	for _, timer := range t.pending {
		all = append(all, timer)
	}
	slices.SortFunc(all, func(a, b *replayTimer) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.set, b.set))
	})
	return all
}
