package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// TestMain makes this program the replica's process too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "node" {
		if err := node(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func node(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := server.Load(config)
	if err != nil {
		return err
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// startProcesses runs four durable replicas until the test ends.
func startProcesses(t *testing.T) (*cluster.Processes, context.Context) {
	t.Helper()
	// The deadline only ends a test that hangs.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	p, err := cluster.StartProcesses(ctx, cluster.ProcessesConfig{Dir: t.TempDir(), Plan: server.Plan{
		Replicas: 4, Durable: true,
		Params: map[string]string{"epoch-length": "16", "view-timeout": "300ms", "retry-after": "100ms"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p, ctx
}

func dial(ctx context.Context, t *testing.T, p *cluster.Processes) *client.Client {
	t.Helper()
	c, err := client.Dial(ctx, p.Members(), client.Options{RetryAfter: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// writer puts one value after the other under keys of its own.
type writer struct {
	id   types.ClientID
	acks atomic.Uint64 // Values whose put was answered.
}

func (w *writer) key(no uint64) []byte { return fmt.Appendf(nil, "%d/%d", w.id, no) }

func (w *writer) run(ctx, stop context.Context, c *client.Client) error {
	for no := uint64(0); stop.Err() == nil; no++ {
		put := app.Command{Op: app.Put, Key: w.key(no), Value: fmt.Append(nil, no)}
		if _, err := c.Submit(ctx, types.Tx{TxID: types.TxID{Client: w.id, No: types.TxNo(no)}, Payload: put.Encode()}); err != nil {
			return err
		}
		w.acks.Add(1)
	}
	return nil
}

// verify reads back all that was answered.
func (w *writer) verify(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	for no := range w.acks.Load() {
		get := app.Command{Op: app.Get, Key: w.key(no)}
		r, err := c.Submit(ctx, types.Tx{TxID: types.TxID{Client: w.id + 1000, No: types.TxNo(no)}, Payload: get.Encode()})
		if err != nil {
			t.Fatal(err)
		}
		if want := "\x00" + fmt.Sprint(no); string(r.Data) != want {
			t.Fatalf("key %s holds %q, want %q", w.key(no), r.Data, want)
		}
	}
}

func TestNothingThatWasAnsweredIsLostByKilling(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills and restarts processes for some seconds")
	}
	p, ctx := startProcesses(t)
	c := dial(ctx, t, p)
	stop, finish := context.WithCancel(ctx)
	var wait sync.WaitGroup
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{id: types.ClientID(i)}
		wait.Go(func() {
			if err := writers[i].run(ctx, stop, c); err != nil {
				t.Error(err)
			}
		})
	}
	progress := func() {
		t.Helper()
		for _, w := range writers {
			for goal := w.acks.Load() + 3; w.acks.Load() < goal; {
				select {
				case <-time.After(5 * time.Millisecond):
				case <-ctx.Done():
					t.Fatalf("client %d makes no progress after %d answers", w.id, w.acks.Load())
				}
			}
		}
	}
	progress()
	for _, id := range []types.NodeID{1, 2} {
		if err := p.Kill(id); err != nil {
			t.Fatal(err)
		}
		progress()
		if err := p.Restart(ctx, id); err != nil {
			t.Fatal(err)
		}
		progress()
	}
	finish()
	wait.Wait()
	// All at once: only the disks are left.
	for id := range types.NodeID(p.N()) {
		if err := p.Kill(id); err != nil {
			t.Fatal(err)
		}
	}
	for id := range types.NodeID(p.N()) {
		if err := p.Start(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range writers {
		w.verify(ctx, t, c)
	}
}

func TestAProcessThatDoesNotStartSaysWhy(t *testing.T) {
	p, ctx := startProcesses(t)
	if err := p.Terminate(0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.Config(0), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.Config(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Config(0), append([]byte("sistem: x\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	err = p.Restart(ctx, 0)
	if err == nil || !strings.Contains(err.Error(), "unknown key") {
		t.Errorf("restarting with a broken configuration: %v", err)
	}
	if err := p.Kill(0); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}
