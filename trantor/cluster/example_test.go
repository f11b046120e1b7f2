package cluster_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/perfgate/perfgate/trantor/app"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/types"
)

// Four replicas of a key-value store agree on what was written.
func Example() {
	results := make(chan app.Result, 8)
	c, err := cluster.New(cluster.Config{
		Weights: cluster.Equal(4),
		NewApp:  func(types.NodeID) app.Application { return app.NewKV() },
		OnDelivered: func(id types.NodeID, d types.Delivered) {
			if r, err := app.DecodeResult(d.Result); err == nil && id == 2 {
				results <- r
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	c.Start()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for no, command := range []app.Command{
		{Op: app.Put, Key: []byte("colour"), Value: []byte("green")},
		{Op: app.Get, Key: []byte("colour")},
	} {
		tx := types.Tx{TxID: types.TxID{Client: 1, No: types.TxNo(no)}, Payload: command.Encode()}
		// Any replica takes it; replica 2 tells what came of it.
		if err := c.Submit(ctx, types.NodeID(no), tx); err != nil {
			log.Fatal(err)
		}
		r := <-results
		fmt.Printf("status %d, value %q\n", r.Status, r.Value)
	}
	if err := c.Stop(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// status 0, value ""
	// status 0, value "green"
}
