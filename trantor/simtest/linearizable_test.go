package simtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/types"
)

// Clients of the key-value store run one operation after another under the
// sweep's faults. An operation goes to one replica, and under the same number to
// others while no answer comes; after a while its client gives up and never
// learns what became of it. The history of all operations must be linearizable.

const (
	kvClients  = 3
	kvOps      = 12 // Of each client.
	kvKeys     = 2  // Few, so that clients meet.
	kvPatience = 5 * time.Second
)

// kvClient is one client.
type kvClient struct {
	world   *world
	id      int
	rng     *rand.Rand
	next    types.TxNo
	last    []byte // What it saw last, to compare with.
	history *[]porcupine.Operation
}

// outcome is what an operation returned. Unknown is one whose client gave up.
type outcome struct {
	app.Result
	unknown bool
}

func (c *kvClient) command() app.Command {
	key := fmt.Append(nil, "key", c.rng.IntN(kvKeys))
	value := fmt.Append(nil, c.id, "/", c.next)
	switch c.rng.IntN(5) {
	case 0:
		return app.Command{Op: app.Put, Key: key, Value: value}
	case 1, 2:
		return app.Command{Op: app.CAS, Key: key, Value: value, Old: c.last}
	case 3:
		return app.Command{Op: app.Delete, Key: key}
	default:
		return app.Command{Op: app.Get, Key: key}
	}
}

// run does the next operation, and the others after it.
func (c *kvClient) run() {
	if c.next == kvOps {
		return
	}
	command, began := c.command(), c.world.sim.Now()
	tx := types.Tx{TxID: types.TxID{Client: types.ClientID(c.id), No: c.next}, Payload: command.Encode()}
	c.next++
	over := false
	end := func(o outcome, at int64) {
		over = true
		*c.history = append(*c.history, porcupine.Operation{
			ClientId: int(tx.Client)<<16 | int(tx.No), Input: command, Output: o, Call: int64(began), Return: at,
		})
		c.world.sim.At(c.world.sim.Now()+time.Duration(c.rng.Int64N(int64(50*time.Millisecond))), c.run)
	}
	sub := Submission{
		Tx: tx, Nodes: []types.NodeID{types.NodeID(c.rng.IntN(c.world.scenario.N()))},
		RetryEvery: 100*time.Millisecond + time.Duration(c.rng.Int64N(int64(400*time.Millisecond))),
	}
	c.world.clients.ask(sub, func(result []byte) {
		r, err := app.DecodeResult(result)
		if err != nil {
			c.world.fault = err
		}
		if r.Status == app.OK && command.Op == app.Get || r.Status == app.Mismatch {
			c.last = slices.Clone(r.Value)
		}
		end(outcome{Result: r}, int64(c.world.sim.Now()))
	})
	c.world.sim.At(began+kvPatience, func() {
		if !over {
			c.world.clients.giveUp(tx.TxID)
			end(outcome{unknown: true}, int64(Forever))
		}
	})
}

// register is the model: a key holds a value or nothing.
type register struct {
	set   bool
	value string
}

// kvModel is one register for each key.
var kvModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := make([][]porcupine.Operation, kvKeys)
		for _, op := range history {
			key := op.Input.(app.Command).Key
			at := int(key[len(key)-1] - '0')
			byKey[at] = append(byKey[at], op)
		}
		return byKey
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		want, next := state.(register).do(input.(app.Command))
		got := output.(outcome)
		same := got.Status == want.Status && string(got.Value) == string(want.Value)
		return got.unknown || same, next
	},
}

// do is what an operation returns and leaves behind, written down without the
// application's code.
func (r register) do(c app.Command) (app.Result, register) {
	switch {
	case c.Op == app.Put:
		return app.Result{Status: app.OK}, register{set: true, value: string(c.Value)}
	case !r.set:
		return app.Result{Status: app.NotFound}, r
	case c.Op == app.Get:
		return app.Result{Status: app.OK, Value: []byte(r.value)}, r
	case c.Op == app.Delete:
		return app.Result{Status: app.OK}, register{}
	case string(c.Old) != r.value:
		return app.Result{Status: app.Mismatch, Value: []byte(r.value)}, r
	}
	return app.Result{Status: app.OK}, register{set: true, value: string(c.Value)}
}

// kvHistory runs a drawn scenario with key-value clients.
func kvHistory(t *testing.T, seed uint64, make func() app.Application) []porcupine.Operation {
	t.Helper()
	s := Draw(seed)
	s.Txs = nil
	s.Params.ClientOrder = false // A client that gives up would wait for its lost number.
	s.App = func(types.NodeID) app.Application { return make() }
	w, err := newWorld(s)
	if err != nil {
		t.Fatal(err)
	}
	var history []porcupine.Operation
	for id := range kvClients {
		c := &kvClient{world: w, id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), history: &history}
		w.sim.At(0, c.run)
	}
	all := func() bool { return len(history) == kvClients*kvOps }
	err = w.run()
	if err == nil {
		err = w.sim.RunUntil(all, stepsMax)
	}
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, s)
	}
	return history
}

func TestKeyValueHistoryIsLinearizable(t *testing.T) {
	const histories = 24
	var known atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(histories) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				history := kvHistory(t, seed, func() app.Application { return app.NewKV() })
				if !porcupine.CheckOperations(kvModel, history) {
					t.Errorf("the history is not linearizable:\n%s", describe(history))
				}
				for _, op := range history {
					if !op.Output.(outcome).unknown {
						known.Add(1)
					}
				}
			})
		}
	})
	if n := known.Load(); n < histories*kvClients*kvOps/2 {
		t.Errorf("only %d operations were answered: the test shows little", n)
	}
}

func describe(history []porcupine.Operation) (out string) {
	for _, op := range history {
		c, o := op.Input.(app.Command), op.Output.(outcome)
		out += fmt.Sprintf("%v to %v: op %d %s %q (old %q) -> %d %q unknown %v\n", time.Duration(op.Call),
			time.Duration(op.Return), c.Op, c.Key, c.Value, c.Old, o.Status, o.Value, o.unknown)
	}
	return out
}

// forgetfulKV loses every fifth write, on all replicas alike.
type forgetfulKV struct {
	*app.KV
	writes int
}

func (f *forgetfulKV) Apply(tx types.Tx) []byte {
	c, err := app.DecodeCommand(tx.Payload)
	if err == nil && c.Op == app.Put {
		if f.writes++; f.writes%5 == 0 {
			return app.Result{Status: app.OK}.Encode()
		}
	}
	return f.KV.Apply(tx)
}

// repeatingKV executes a write once more after the next one, as if it had been
// delivered twice.
type repeatingKV struct {
	*app.KV
	before types.Tx
}

func (r *repeatingKV) Apply(tx types.Tx) []byte {
	result := r.KV.Apply(tx)
	if c, err := app.DecodeCommand(tx.Payload); err == nil && c.Op == app.Put {
		r.KV.Apply(r.before)
		r.before = tx
	}
	return result
}

// Lost writes and writes that happen twice show, or the test above means nothing.
func TestBrokenApplicationIsNotLinearizable(t *testing.T) {
	for name, broken := range map[string]func() app.Application{
		"lost writes":     func() app.Application { return &forgetfulKV{KV: app.NewKV()} },
		"repeated writes": func() app.Application { return &repeatingKV{KV: app.NewKV()} },
	} {
		caught := false
		for seed := uint64(0); seed < 5 && !caught; seed++ {
			caught = !porcupine.CheckOperations(kvModel, kvHistory(t, seed, broken))
		}
		if !caught {
			t.Errorf("%s: five histories are linearizable", name)
		}
	}
}
