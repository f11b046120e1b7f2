package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
	"github.com/perfgate/perfgate/mir/sim"
	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

// Bounds of a recorded run: a recording is to be looked at.
const (
	recordReplicasMax = 64
	recordTxsMax      = 100_000
	recordStepsMax    = 50_000_000
	submitEvery       = time.Millisecond // Of virtual time.
)

// recordedRun is a simulated cluster that is recorded.
type recordedRun struct {
	seed     uint64
	n, txs   int
	sim      *sim.Sim
	replicas []*replica.Replica
	recorder *eventlog.Recorder
	missing  int // Deliveries.
}

func traceRecord(args []string, stdout io.Writer) error {
	flags := newFlags("trace record", "", stdout)
	run := &recordedRun{}
	flags.Uint64Var(&run.seed, "seed", 1, "one seed gives one run")
	flags.IntVar(&run.n, "n", 4, "replicas")
	flags.IntVar(&run.txs, "txs", 10, "transactions, one submitted each millisecond")
	to := flags.String("o", "", "the recording to write (required)")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	switch {
	case *to == "":
		return errors.New("trace record: no -o FILE given")
	case run.n < 1 || run.n > recordReplicasMax:
		return fmt.Errorf("trace record: -n %d: want 1 to %d replicas", run.n, recordReplicasMax)
	case run.txs < 1 || run.txs > recordTxsMax:
		return fmt.Errorf("trace record: -txs %d: want 1 to %d transactions", run.txs, recordTxsMax)
	}
	if err := withOutput(*to, run.record); err != nil {
		return fmt.Errorf("trace record: %w", err)
	}
	events, _ := run.recorder.Counts()
	_, err := fmt.Fprintf(stdout, "recorded %d events of %d replicas, %v of virtual time, in %s\n", events, run.n, run.sim.Now(), *to)
	return err
}

// record runs the cluster until every replica has delivered every transaction.
func (r *recordedRun) record(out io.Writer) (err error) {
	if err := r.wire(out); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.recorder.Close()) }()
	for i := range r.txs {
		at, tx := r.replicas[i%r.n], types.Tx{
			TxID: types.TxID{Client: types.ClientID(i % r.n), No: types.TxNo(i / r.n)}, Payload: fmt.Appendf(nil, "transaction %d", i),
		}
		r.sim.At(time.Duration(i)*submitEvery, func() {
			r.sim.Inject(mir.NodeID(i%r.n), mir.Event{To: at.IDs.Mempool, Body: types.Submit{Tx: tx}})
		})
	}
	r.missing = r.txs * r.n
	return r.sim.RunUntil(func() bool { return r.missing == 0 }, recordStepsMax)
}

func (r *recordedRun) wire(out io.Writer) error {
	codec := newTraceCodec()
	var err error
	r.sim, err = sim.New(sim.Config{
		Seed: r.seed, Codec: codec.Codec, Network: sim.Network{Latency: sim.Uniform(200*time.Microsecond, time.Millisecond)},
	})
	if err != nil {
		return err
	}
	for id := range types.NodeID(r.n) {
		rep, err := newRecordedReplica(id, crypto.NewSimulated(r.seed, id, r.n), r.n, mir.ModuleFunc(r.onResult))
		if err != nil {
			return err
		}
		r.replicas = append(r.replicas, rep)
	}
	r.recorder, err = eventlog.NewRecorder(eventlog.Config{
		Out: out, Header: eventlog.NewHeader(r.replicas[0].Names), Codec: codec, Clock: r.sim.Now, Wait: true,
	})
	if err != nil {
		return err
	}
	for id, rep := range r.replicas {
		if _, err := r.sim.AddNode(sim.NodeConfig{
			Names: rep.Names, Modules: rep.Modules, Net: rep.IDs.Net, Timer: rep.IDs.Timer,
			Interceptor: r.recorder.Node(mir.NodeID(id)),
		}); err != nil {
			return errors.Join(err, r.recorder.Close())
		}
		r.sim.Inject(mir.NodeID(id), rep.Boot()...)
	}
	return nil
}

// newRecordedReplica wires a replica with equal votes and a hash chain for an
// application.
func newRecordedReplica(id types.NodeID, keys crypto.Crypto, n int, results mir.Module) (*replica.Replica, error) {
	return replica.New(replica.Config{
		Node: id, Genesis: types.EqualConfiguration(n), Crypto: keys,
		App: &app.Chain{}, Params: replica.DefaultParams(n), Results: results,
	})
}

func (r *recordedRun) onResult(ev mir.Event, _ *mir.Out) {
	if _, ok := ev.Body.(types.Delivered); ok {
		r.missing--
	}
}

// traceCodec is the wire format with the inputs of a replica that are neither
// messages nor timers, so that a recording can be replayed.
type traceCodec struct{ *types.Codec }

func newTraceCodec() traceCodec { return traceCodec{replica.NewCodec()} }

// Tags of the inputs. They are none of the wire format, which counts from 1.
const (
	tagSubmit = 0xff
	tagFlush  = 0xfe
	tagBoot   = 0xfd
)

// Encode implements mir.Codec.
func (c traceCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	switch m := m.(type) {
	case types.Submit:
		dst = binary.LittleEndian.AppendUint64(append(dst, tagSubmit), uint64(m.Tx.Client))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Tx.No))
		return append(dst, m.Tx.Payload...), nil
	case types.Flush:
		return append(dst, tagFlush), nil
	case types.Boot:
		return append(dst, tagBoot), nil
	}
	return c.Codec.Encode(dst, m)
}

// Decode implements mir.Codec.
func (c traceCodec) Decode(b []byte) (mir.Message, error) {
	switch {
	case len(b) == 1 && b[0] == tagFlush:
		return types.Flush{}, nil
	case len(b) == 1 && b[0] == tagBoot:
		return types.Boot{}, nil
	case len(b) == 0 || b[0] != tagSubmit:
		return c.Codec.Decode(b)
	case len(b) < 1+8+8:
		return nil, fmt.Errorf("decoding a submission: it has %d bytes", len(b))
	}
	return types.Submit{Tx: types.Tx{
		TxID:    types.TxID{Client: types.ClientID(binary.LittleEndian.Uint64(b[1:])), No: types.TxNo(binary.LittleEndian.Uint64(b[9:]))},
		Payload: append([]byte(nil), b[17:]...),
	}}, nil
}
