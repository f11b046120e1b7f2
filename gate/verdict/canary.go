package verdict

import (
	"fmt"
	"slices"

	"github.com/perfgate/perfgate/gate/compare"
	"github.com/perfgate/perfgate/gate/recording"
)

// AlphaCanary is the chance that the canary voids a session on a machine on
// which it should not, over all canary benchmarks and both directions.
const AlphaCanary = .001

// canary looks at the pairs of the base side with itself. The coin makes them
// symmetric about zero, so a difference is a fault of the machine or of this
// tool, and nothing that the session found can be believed.
func (j *judge) canary(b recording.Bundle) error {
	pairs, err := compare.Pairs(b.Canary)
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	const unit = "cpu-sec/op"
	var keys []recording.Key
	tests := map[recording.Key]*compare.Sequential{}
	for _, p := range pairs {
		key := p.Base.Key
		if tests[key] == nil {
			tests[key] = compare.NewSequential(compare.ParamsFor(0))
			keys = append(keys, key)
		}
		if d, ok := p.LogRatio(unit, "lower"); ok {
			tests[key].Add(d)
		}
	}
	slices.SortFunc(keys, recording.Key.Compare)
	for _, key := range keys {
		s := tests[key]
		if p := min(s.PWorse(), s.PBetter()); 2*float64(len(keys))*p <= AlphaCanary {
			j.note(recording.Outcome{Key: key, Side: recording.Base, Kind: recording.Void,
				Detail: fmt.Sprintf("the canary sang: %d pairs of the base side with itself differ (p = %.2g), so no difference of this session means anything; look at the machine with `perfgate doctor` and run again", s.Pairs(), p)})
		}
	}
	return nil
}
