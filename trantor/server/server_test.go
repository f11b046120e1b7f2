package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/store"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestClientsGetTheResultsOfTheirTransactions(t *testing.T) {
	for _, trustOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("trustOne=%v", trustOne), func(t *testing.T) {
			s := start(t, server.Plan{Replicas: 4, Params: quick})
			c := s.dial(client.Options{TrustOne: trustOne})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			const clients, each = 8, 25
			var wait sync.WaitGroup
			for k := range clients {
				wait.Go(func() {
					for no := range each {
						if err := put(ctx, c, types.TxID{Client: types.ClientID(k), No: types.TxNo(no)}, fmt.Sprint(k), fmt.Sprint(no)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wait.Wait()
			r, err := c.Submit(ctx, types.Tx{TxID: types.TxID{Client: 99}, Payload: app.Command{Op: app.Get, Key: []byte("3")}.Encode()})
			if err != nil || string(r.Data) != "\x00"+fmt.Sprint(each-1) {
				t.Errorf("reading a key gives %q (%v)", r.Data, err)
			}
			all := s.statuses(clients*each + 1)
			for _, got := range all[1:] {
				if got.AppHash != all[0].AppHash {
					t.Errorf("states differ: %+v and %+v", all[0], got)
				}
			}
		})
	}
}

func TestADurableReplicaGoesOnFromItsDisk(t *testing.T) {
	// A leader that restarts goes on in the next view, after a timeout.
	s := start(t, server.Plan{Replicas: 1, Durable: true, Params: map[string]string{"view-timeout": "200ms", "retry-after": "100ms"}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := s.dial(client.Options{RetryAfter: 100 * time.Millisecond})
	for run := range 3 {
		key := fmt.Sprint("run ", run)
		if err := put(ctx, c, types.TxID{Client: 1, No: types.TxNo(run)}, key, key); err != nil {
			t.Fatal(err)
		}
		s.stop(0)
		s.start(0)
		for before := range run + 1 {
			key := fmt.Sprint("run ", before)
			id := types.TxID{Client: types.ClientID(10 + run), No: types.TxNo(before)}
			r, err := c.Submit(ctx, types.Tx{TxID: id, Payload: app.Command{Op: app.Get, Key: []byte(key)}.Encode()})
			if err != nil || string(r.Data) != "\x00"+key {
				t.Errorf("after restart %d %s holds %q (%v)", run, key, r.Data, err)
			}
		}
	}
}

func TestAServerThatNeverRunsFreesEverything(t *testing.T) {
	s := prepare(t, server.Plan{Replicas: 1, Durable: true})
	for range 2 { // The second one gets the ports and the store of the first.
		cfg, err := server.Load(server.ConfigPath(s.dir, 0))
		if err != nil {
			t.Fatal(err)
		}
		srv, err := server.New(cfg, server.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAStoreIsMadeOnceAndNeverByStarting(t *testing.T) {
	s := prepare(t, server.Plan{Replicas: 1, Durable: true})
	cfg, err := server.Load(server.ConfigPath(s.dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(cfg.Data); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(cfg, server.Options{}); !errors.Is(err, store.ErrAbsent) {
		t.Errorf("starting without a store: %v", err)
	}
	for range 2 { // The second time there is one.
		if err := server.NewStore(cfg); err != nil {
			t.Fatal(err)
		}
	}
	srv, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	s := start(t, server.Plan{Replicas: 1})
	cfg, err := server.Load(server.ConfigPath(s.dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(cfg, server.Options{}); err == nil {
		t.Error("two servers have one address")
	}
}
