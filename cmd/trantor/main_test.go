package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trantor": main})
}

// TestScript runs the command as users drive it: one script per behaviour.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "waitfile": waitFile, "joinline": joinLine,
		},
	})
}

// exits runs a command and asserts its exit code: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// waitFile waits until a file exists: waitfile FILE.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(ts.MkAbs(args[0]))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
	}
}

// joinLine runs reconfigure with the flags that join showed: joinline FILE
// COMMAND ARG...
func joinLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: joinline FILE COMMAND ARG...")
	}
	_, flags, ok := strings.Cut(ts.ReadFile(args[0]), "--config FILE ")
	if !ok {
		ts.Fatalf("%s shows no command", args[0])
	}
	ts.Check(ts.Exec("trantor", append(args[1:], strings.Fields(flags)...)...))
}

// A replica that is wired anew and given the recorded inputs of any of the
// replicas takes every step of that one, and ends in the same state.
func TestARecordedSimulationIsReplayed(t *testing.T) {
	var file bytes.Buffer
	run := &recordedRun{seed: 5, n: 4, txs: 30}
	if err := run.record(&file); err != nil {
		t.Fatal(err)
	}
	for id := range types.NodeID(run.n) {
		rep, steps := replayReplica(t, file.Bytes(), id, crypto.NewSimulated(run.seed, id, run.n), run.n)
		if want := run.sim.Counters(id).EventsApplied; steps != want {
			t.Errorf("replica %d: %d steps, want %d", id, steps, want)
		}
		if got, want := fmt.Sprint(rep.AppHash(), rep.Stats()), fmt.Sprint(run.replicas[id].AppHash(), run.replicas[id].Stats()); got != want {
			t.Errorf("replica %d: the replay ends with %s, want %s", id, got, want)
		}
	}
}

// The same of a cluster in real time, whose replicas share a recorder.
func TestARecordedClusterIsReplayed(t *testing.T) {
	const n, txs = 4, 40
	var file bytes.Buffer
	rep, err := newRecordedReplica(0, crypto.NewSimulated(0, 0, n), n, mir.ModuleFunc(ignore))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	recorder, err := eventlog.NewRecorder(eventlog.Config{
		Out: &file, Header: eventlog.NewHeader(rep.Names), Codec: newTraceCodec(), Clock: func() time.Duration { return time.Since(began) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(cluster.Config{Weights: cluster.Equal(n), Seed: 9, Interceptor: recorder.Node})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	for i := range txs {
		tx := types.Tx{TxID: types.TxID{Client: types.ClientID(i)}, Payload: []byte("a transaction")}
		if err := c.SubmitAsync(t.Context(), types.NodeID(i%n), tx); err != nil {
			t.Fatal(err)
		}
	}
	for id := range types.NodeID(n) {
		if err := c.WaitDelivered(t.Context(), id, txs); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Stop(), recorder.Close()); err != nil {
		t.Fatal(err)
	}
	keys := crypto.DeriveEd25519(9, n)
	for id := range types.NodeID(n) {
		rep, _ := replayReplica(t, file.Bytes(), id, keys[id], n)
		state, err := c.State(t.Context(), id)
		if err != nil || rep.AppHash() != state.AppHash || rep.Stats() != state.Stats {
			t.Errorf("replica %d: the replay ends with %v %+v, want %v %+v (%v)", id, rep.AppHash(), rep.Stats(), state.AppHash, state.Stats, err)
		}
	}
}

func ignore(mir.Event, *mir.Out) {}

// replayReplica replays a recording to its end and counts the steps.
func replayReplica(t *testing.T, recording []byte, id types.NodeID, keys crypto.Crypto, n int) (*replica.Replica, uint64) {
	t.Helper()
	rep, err := newRecordedReplica(id, keys, n, mir.ModuleFunc(ignore))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := eventlog.NewReader(bytes.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	replay, err := eventlog.NewReplay(reader, eventlog.ReplayConfig{
		Node: id, Codec: newTraceCodec(), Names: rep.Names, Modules: rep.Modules, Net: rep.IDs.Net, Timer: rep.IDs.Timer,
	})
	if err != nil {
		t.Fatal(err)
	}
	for steps := uint64(0); ; steps++ {
		if _, _, err := replay.Step(); errors.Is(err, io.EOF) {
			return rep, steps
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzTraceCodecRejectsWhatItWouldNotWrite(f *testing.F) {
	codec := newTraceCodec()
	for _, input := range []mir.Message{
		types.Submit{Tx: types.Tx{TxID: types.TxID{Client: 1, No: 2}, Payload: []byte("p")}}, types.Flush{}, types.Boot{},
	} {
		seed, err := codec.Encode(nil, input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
		f.Add(seed[:len(seed)/2])
		f.Add(append(seed, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := codec.Decode(b)
		if err != nil {
			return
		}
		if again, err := codec.Encode(nil, m); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x decodes to %+v, which encodes to %x (%v)", b, m, again, err)
		}
	})
}
