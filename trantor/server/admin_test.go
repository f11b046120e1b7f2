package server

import (
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/trantor/replica"
)

func TestAReplicaIsReadyUnlessItIsBehindAtOneMoment(t *testing.T) {
	now := time.Now()
	for want, s := range map[string]*sample{
		"starting":                      nil,
		"no answer of the node for 11s": {at: now.Add(-11 * time.Second)},
		"state transfer":                {at: now, stats: replica.Stats{Behind: true}},
		"in epoch 5, and epoch 7 is":    {at: now, stats: replica.Stats{Epoch: 5}, stable: 8},
		"":                              {at: now.Add(-time.Second), stats: replica.Stats{Epoch: 5}, stable: 7},
	} {
		err := s.notReady(now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}
