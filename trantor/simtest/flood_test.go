package simtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/types"
)

// However much a faulty replica sends, and for however long, the others hold no
// more after a minute of it than after half of one. What counts is the least of a
// quarter: while a checkpoint is late, a few more epochs are held for a moment.
func TestFloodDoesNotGrowMemory(t *testing.T) {
	s := calm(4)
	s.Byzantine = []Villain{{Node: 3, Acts: []string{"flood", "garbage", "stale"}}}
	s.Params.BatchWindow, s.Params.ClientWindow, s.Params.EarlyMessageMax = 8, 64, 64
	s.Durable = true
	s.Params.KeepEpochs = 1
	s.FaultsEnd = time.Minute
	for no := range 600 {
		s.Txs = append(s.Txs, Submission{
			At: time.Duration(no) * 100 * time.Millisecond, Nodes: []types.NodeID{types.NodeID(no % 3)}, Tx: tx(no, "x"),
			RetryEvery: time.Second,
		})
	}
	w := get(newWorld(s))(t)
	v := w.villains[0]
	v.every(2*time.Millisecond, v.flood)
	var early, late map[string]int
	for second := range 60 {
		if err := w.sim.Run(time.Duration(second) * time.Second); err != nil {
			t.Fatal(err)
		}
		switch {
		case second >= 15 && second < 30:
			early = least(early, w.holdings(0))
		case second >= 45:
			late = least(late, w.holdings(0))
		}
	}
	for _, part := range slices.Sorted(maps.Keys(late)) {
		if late[part] > early[part]*5/4+slackBytes {
			t.Errorf("%s holds %d bytes or more in the last quarter of a minute, %d in the second", part, late[part], early[part])
		}
	}
	if err := w.run(); err != nil {
		t.Error(err)
	}
}

// slackBytes is what a part may differ by from one moment to another. Fifteen
// seconds of flood are 7,500 messages of 40 bytes or more.
const slackBytes = 32 << 10

// holdings is what a replica holds in memory, by module, and on disk.
func (w *world) holdings(id types.NodeID) map[string]int {
	h := w.hosts[id]
	parts := footprint(h.replica)
	for _, r := range h.disk.Records() {
		parts[fmt.Sprintf("disk %c", r.Key[0])] += len(r.Key) + len(r.Value)
	}
	return parts
}

// least is the smaller of two in every part.
func least(a, b map[string]int) map[string]int {
	if a == nil {
		return b
	}
	for part, n := range b {
		if was, known := a[part]; !known || n < was {
			a[part] = n
		}
	}
	return a
}
