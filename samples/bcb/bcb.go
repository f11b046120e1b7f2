// Package bcb is Byzantine consistent broadcast as a module of mir: the
// authenticated echo broadcast of Cachin, Guerraoui and Rodrigues,
// "Introduction to Reliable and Secure Distributed Programming", 2nd edition,
// Algorithm 3.16.
//
// One designated sender broadcasts one value to n processes, of which fewer than
// n/3 may be Byzantine, the sender included. What it guarantees:
//
//   - Validity: if the sender is correct, every correct process delivers.
//   - No duplication: a correct process delivers at most once.
//   - Integrity: if the sender is correct, only what it broadcast is delivered.
//   - Consistency: no two correct processes deliver different values.
//
// It does not guarantee that all deliver or none (that would be reliable
// broadcast): a Byzantine sender can make some deliver and others wait.
//
// Why it works. A process delivers a value that more than (n+f)/2 processes
// echoed. Two such sets share more than f processes, so a correct one, and that
// one echoed one value only.
//
// The cost: n messages of the sender and n*n echos, two message delays. Memory: at
// most one value of ValueBytesMax for each process.
package bcb

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/dsl"
)

// Broadcast is the request: the sender's node gives it to its module, once.
type Broadcast struct{ Value string }

// Deliver is the indication, which the module emits to Config.Up.
type Deliver struct {
	From  mir.NodeID
	No    uint64 // Which broadcast of From's; always 0 without NewMany.
	Value string
}

// Send and Echo are the messages between the processes.
type (
	Send struct{ Value string }
	Echo struct{ Value string }
)

func (Broadcast) EventName() string { return "bcb.Broadcast" }
func (Deliver) EventName() string   { return "bcb.Deliver" }
func (Send) EventName() string      { return "bcb.Send" }
func (Echo) EventName() string      { return "bcb.Echo" }

// Config of one process.
type Config struct {
	Self   mir.ModuleID // This module, on every node.
	Net    mir.ModuleID // Authenticated links.
	Up     mir.ModuleID // Gets Deliver.
	N      int          // Processes, with node numbers 0..N-1; fewer than N/3 are Byzantine.
	Sender mir.NodeID   // The designated sender.

	// Sub and No are those of this broadcast among many, as NewMany sets them,
	// and zero for one alone.
	Sub mir.SubID
	No  uint64
}

// New makes the module of one broadcast. Read it beside the book: the comments are its lines.
func New(cfg Config) *dsl.Module {
	m := dsl.New("bcb")
	everyone := make([]mir.NodeID, cfg.N)
	for i := range everyone {
		everyone[i] = mir.NodeID(i)
	}
	f := (cfg.N - 1) / 3

	// upon event <bcb, Init> do
	sentEcho, delivered := false, false
	echos := map[mir.NodeID]string{}

	// upon event <bcb, Broadcast | m> do                  // only process s
	dsl.On(m, func(ev Broadcast, out *mir.Out) {
		// forall q do trigger <al, Send | q, [SEND, m]>
		out.Emit(cfg.Net, mir.Send{To: everyone, Dest: cfg.Self, Sub: cfg.Sub, Msg: Send(ev)})
	})

	// upon event <al, Deliver | p, [SEND, m]> such that p = s and sentecho = FALSE do
	dsl.OnMessage(m, func(p mir.NodeID, msg Send, out *mir.Out) {
		if p != cfg.Sender || sentEcho {
			return
		}
		sentEcho = true
		// forall q do trigger <al, Send | q, [ECHO, m]>
		out.Emit(cfg.Net, mir.Send{To: everyone, Dest: cfg.Self, Sub: cfg.Sub, Msg: Echo(msg)})
	})

	// upon event <al, Deliver | p, [ECHO, m]> do
	dsl.OnMessage(m, func(p mir.NodeID, msg Echo, _ *mir.Out) {
		if _, have := echos[p]; !have {
			echos[p] = msg.Value
		}
	})

	// upon exists m such that #({p | echos[p] = m}) > (N+f)/2 and delivered = FALSE do
	m.Upon("a quorum of echos",
		func() bool { _, ok := quorum(echos, cfg.N, f); return ok && !delivered },
		func(out *mir.Out) {
			delivered = true
			// trigger <bcb, Deliver | s, m>
			value, _ := quorum(echos, cfg.N, f)
			out.Emit(cfg.Up, Deliver{From: cfg.Sender, No: cfg.No, Value: value})
		})
	return m
}

// quorum is the value that more than (n+f)/2 processes echoed, if there is one.
// There is at most one, so the order of the map does not matter.
func quorum(echos map[mir.NodeID]string, n, f int) (value string, ok bool) {
	count := map[string]int{}
	for _, echoed := range echos {
		count[echoed]++
		if 2*count[echoed] > n+f {
			return echoed, true
		}
	}
	return "", false
}
