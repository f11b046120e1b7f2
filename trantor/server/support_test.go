package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience only ends a test that hangs.
const patience = time.Minute

// system is the replicas of one plan, in this process.
type system struct {
	t    *testing.T
	dir  string
	n    int
	runs []*running
	// change, if not nil, changes what a replica starts with.
	change func(*server.Config)
}

type running struct {
	server *server.Server
	stop   context.CancelFunc
	done   chan error
}

// quick are settings for a test that does not wait.
var quick = map[string]string{"view-timeout": "3s", "retry-after": "300ms"}

// start sets a system up and runs all of its replicas until the test ends.
func start(t *testing.T, plan server.Plan) *system {
	t.Helper()
	s := prepare(t, plan)
	for id := range plan.Replicas {
		s.start(id)
	}
	return s
}

// prepare sets a system up of which nothing runs yet.
func prepare(t *testing.T, plan server.Plan) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), n: plan.Replicas, runs: make([]*running, plan.Replicas)}
	if err := server.Init(s.dir, plan); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for id := range s.runs {
			s.stop(id)
		}
	})
	return s
}

func (s *system) start(id int) *server.Server {
	s.t.Helper()
	cfg, err := server.Load(server.ConfigPath(s.dir, types.NodeID(id)))
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.Limits.Drain = time.Second
	if s.change != nil {
		s.change(&cfg)
	}
	srv, err := server.New(cfg, server.Options{Logf: s.t.Logf})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{server: srv, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- srv.Run(ctx) }()
	s.runs[id] = r
	return srv
}

func (s *system) stop(id int) {
	s.t.Helper()
	r := s.runs[id]
	if r == nil {
		return
	}
	s.runs[id] = nil
	r.stop()
	if err := <-r.done; err != nil {
		s.t.Error(err)
	}
}

func (s *system) members() []client.Member {
	s.t.Helper()
	m, err := server.LoadMembers(s.dir + "/" + server.MembersFile)
	if err != nil {
		s.t.Fatal(err)
	}
	var members []client.Member
	for _, m := range m.Members {
		members = append(members, client.Member{Node: m.Node, Weight: m.Weight, Key: m.Key, Addr: m.Clients})
	}
	return members
}

func (s *system) dial(opts client.Options) *client.Client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, s.members(), opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return c
}

// statuses waits until all running replicas have delivered count transactions.
func (s *system) statuses(count uint64) []server.Status {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []server.Status
	for id, r := range s.runs {
		if r == nil {
			continue
		}
		for {
			status, err := r.server.Status(ctx, true)
			if err != nil {
				s.t.Fatal(err)
			}
			if status.Delivered >= count {
				all = append(all, status)
				break
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				s.t.Fatalf("replica %d delivered %d of %d: %+v", id, status.Delivered, count, status)
			}
		}
	}
	return all
}

// put sets a key; the result must be OK.
func put(ctx context.Context, c *client.Client, id types.TxID, key, value string) error {
	r, err := c.Submit(ctx, types.Tx{TxID: id, Payload: app.Command{Op: app.Put, Key: []byte(key), Value: []byte(value)}.Encode()})
	if err != nil {
		return err
	}
	if got, err := app.DecodeResult(r.Data); err != nil || got.Status != app.OK {
		return errors.Join(fmt.Errorf("putting %s: result %x", key, r.Data), err)
	}
	return nil
}
