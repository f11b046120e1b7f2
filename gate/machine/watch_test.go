package machine

import (
	"math"
	"strings"
	"testing"
)

func TestWeatherIsSharesOfTheSession(t *testing.T) {
	var a, b counters
	a.readStat("cpu  1000 0 500 8000 500 0 0 0 0 0\ncpu0 1 2")
	// 20 s of two CPUs: 10 s user, 4 s system, 2 s steal, 24 s idle.
	b.readStat("cpu  2000 0 900 10400 500 0 0 200 0 0\n")
	a.ours, b.ours = 3, 9
	a.throttled, b.throttled, a.stalled, b.stalled = 1, 3, 5, 5
	got := weather(a, b, 20)
	want := Weather{Steal: 2. / 40, Foreign: (14. - 6) / 40, Throttled: .1, Stalled: 0}
	for name, pair := range map[string][2]float64{
		"steal": {got.Steal, want.Steal}, "foreign": {got.Foreign, want.Foreign},
		"throttled": {got.Throttled, want.Throttled}, "stalled": {got.Stalled, want.Stalled},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestWhatIsNotKnownIsNotClaimed(t *testing.T) {
	none := counters{total: -1, busy: -1, steal: -1, throttled: field("", "throttled_usec"), stalled: pressure("")}
	if w := weather(none, none, 10); w.String() != "" {
		t.Errorf("without counters: %q", w)
	}
	known := Weather{Steal: -1, Foreign: .2, Throttled: -1, Stalled: 0}.String()
	if want := "while it measured: 20.0 % used by other processes, 0.0 % stalled for memory (used by other processes: co-run pairs share it, wall rows see less)"; known != want {
		t.Errorf("got  %s\nwant %s", known, want)
	}
	if strings.Contains(known, "hypervisor") {
		t.Error("an unknown share is shown")
	}
}

func TestTheKernelsFilesAreRead(t *testing.T) {
	if got := field("nr_periods 7\nthrottled_usec 250000\n", "throttled_usec"); got != 250000 {
		t.Errorf("throttled_usec is %v", got)
	}
	if got := pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=676912\nfull avg10=0 total=1\n"); got != 676912 {
		t.Errorf("memory stalls are %v", got)
	}
}
