package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/types"
)

// patience is how long a line may take to reach all replicas: it is milliseconds
// unless something is broken.
const patience = 30 * time.Second

// run is the program: with lines as arguments it says them all at once, and
// otherwise one after the other as they come from stdin.
func run(args []string, stdin io.Reader, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	n := flags.Int("n", 4, "replicas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := open(*n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.replicas.Stop()) }()
	if flags.NArg() > 0 {
		return c.say(stdout, flags.Args()...)
	}
	for lines := bufio.NewScanner(stdin); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		if err := c.say(stdout, lines.Text()); err != nil {
			return err
		}
	}
}

// chat is a room that is replicated n times.
type chat struct {
	replicas *cluster.Cluster
	said     int // Lines that were handed in.

	mu    sync.Mutex
	heard [][]string // By replica: what its room answered, in its order, and was not printed yet.
}

// replicasMax keeps a slip of the finger from taking the machine: replicas are
// connected each with each.
const replicasMax = 64

func open(n int) (*chat, error) {
	if n < 1 || n > replicasMax {
		return nil, fmt.Errorf("%d replicas, want 1 to %d", n, replicasMax)
	}
	c := &chat{heard: make([][]string, n)}
	var err error
	c.replicas, err = cluster.New(cluster.Config{
		Weights:     cluster.Equal(n),
		NewApp:      func(types.NodeID) app.Application { return &room{} },
		OnDelivered: c.onDelivered,
	})
	if err != nil {
		return nil, err
	}
	c.replicas.Start()
	return c, nil
}

// onDelivered runs on the goroutine of that replica.
func (c *chat) onDelivered(id types.NodeID, d types.Delivered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard[id] = append(c.heard[id], string(d.Result))
}

// say hands each line to another replica, all at once, waits until every
// replica has delivered them, and prints what each of them heard. The replicas
// decide the order; each line is a client of its own, so none comes before
// another by right.
func (c *chat) say(out io.Writer, lines ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	failed := make([]error, len(lines))
	var wait sync.WaitGroup
	for i, line := range lines {
		at, client := types.NodeID(c.said%c.replicas.N()), types.ClientID(c.said)
		c.said++
		wait.Go(func() {
			failed[i] = c.replicas.Submit(ctx, at, types.Tx{TxID: types.TxID{Client: client}, Payload: []byte(line)})
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for id := range c.replicas.N() {
		if err := c.replicas.WaitDelivered(ctx, types.NodeID(id), uint64(c.said)); err != nil {
			return err
		}
	}
	return c.print(out)
}

func (c *chat) print(out io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, lines := range c.heard {
		for _, line := range lines {
			if _, err := fmt.Fprintf(out, "replica %d | %s\n", id, line); err != nil {
				return err
			}
		}
		c.heard[id] = nil
	}
	return nil
}
