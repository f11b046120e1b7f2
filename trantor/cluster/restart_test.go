package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/replica"
	"github.com/perfgate/perfgate/trantor/types"
)

var transports = map[string]cluster.Transport{"in-process": cluster.InProcess, "loopback": cluster.Loopback}

// lively are settings with short epochs, under which nothing waits for long.
func lively(n int) *replica.Params {
	params := replica.DefaultParams(n)
	params.EpochLength, params.SlotsQueuedMax = 4*n, 1024
	params.ViewTimeout, params.RetryAfter = 300*time.Millisecond, 100*time.Millisecond
	return &params
}

func TestReplicasOnEveryTransportAgree(t *testing.T) {
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			c, o, ctx := start(t, cluster.Config{Weights: cluster.Equal(4), Params: lively(4), Transport: transport, Dir: t.TempDir()})
			total := load(ctx, t, c, 4, 25, replicas(4)...)
			waitAll(ctx, t, c, total, replicas(4)...)
			same(ctx, t, c, o, replicas(4)...)
		})
	}
}

func TestADurableReplicaGoesOnWhereItWas(t *testing.T) {
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // They wait for timeouts most of the time.
			c, _, ctx := start(t, cluster.Config{Weights: cluster.Equal(4), Params: lively(4), Transport: transport, Dir: t.TempDir()})
			no := 0
			submit := func(count int, at ...types.NodeID) {
				for range count {
					for client := range 4 {
						if err := c.Submit(ctx, at[client%len(at)], tx(client, no)); err != nil {
							t.Fatal(err)
						}
					}
					no++
				}
			}
			submit(10, replicas(4)...)
			waitAll(ctx, t, c, 40, replicas(4)...)
			if err := c.Restart(3); err == nil {
				t.Error("a replica that runs was restarted")
			}
			if err := c.Kill(3); err != nil {
				t.Fatal(err)
			}
			submit(10, 0, 1, 2)
			waitAll(ctx, t, c, 80, 0, 1, 2)
			if err := c.Restart(3); err != nil {
				t.Fatal(err)
			}
			submit(10, replicas(4)...)
			waitAll(ctx, t, c, 120, replicas(4)...)
			if got, want := hash(ctx, t, c, 3), hash(ctx, t, c, 0); got != want {
				t.Errorf("after its restart replica 3 has state %v, replica 0 %v", got, want)
			}
		})
	}
}

func TestAWholeClusterGoesOnAfterACrash(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		t.Run(fmt.Sprint("run=", run), func(t *testing.T) {
			c, _, ctx := start(t, cluster.Config{Weights: cluster.Equal(4), Params: lively(4), Transport: cluster.Loopback, Dir: dir, Seed: 3})
			for client := range 4 {
				for no := range 5 {
					if err := c.Submit(ctx, types.NodeID(client), tx(client, 5*run+no)); err != nil {
						t.Fatal(err)
					}
				}
			}
			waitAll(ctx, t, c, uint64(20*(run+1)), replicas(4)...)
			for id := range replicas(4) {
				if err := c.Kill(types.NodeID(id)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestMoreReplicasThanTheLimitAreRefused(t *testing.T) {
	if _, err := cluster.New(cluster.Config{Weights: cluster.Equal(types.MaxReplicas + 1)}); err == nil {
		t.Error("accepted")
	}
}

func hash(ctx context.Context, t *testing.T, c *cluster.Cluster, id types.NodeID) types.Digest {
	t.Helper()
	s, err := c.State(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return s.AppHash
}
