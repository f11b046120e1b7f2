package machine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Watch looks at what disturbs a session while it lasts. It reads counters of
// the kernel at the start and at the end, and costs nothing between.
type Watch struct {
	at    time.Time
	start counters
}

// counters are totals since boot; a negative one is not to be had here.
type counters struct {
	total, busy, steal float64 // seconds of all CPUs; busy includes steal
	ours               float64 // seconds of this process and of its children that ended
	throttled          float64 // seconds in which the cgroup's quota kept threads from running
	stalled            float64 // seconds in which some task waited for memory
}

// Weather is what a session met, each as a share from 0 to 1: of all CPU time
// for Steal (what the hypervisor gave to others) and Foreign (other processes
// here), of the session's time for Throttled and Stalled. A negative share is
// not known here.
type Weather struct{ Steal, Foreign, Throttled, Stalled float64 }

// NewWatch begins to watch.
func NewWatch() *Watch { return &Watch{at: time.Now(), start: readCounters()} }

// Weather is what happened since the watch began.
func (w *Watch) Weather() Weather {
	return weather(w.start, readCounters(), time.Since(w.at).Seconds())
}

func weather(a, b counters, seconds float64) Weather {
	share := func(from, to, whole float64) float64 {
		if from < 0 || to < 0 || whole <= 0 {
			return -1
		}
		return max(0, to-from) / whole
	}
	total := b.total - a.total
	foreign := -1.0
	if a.total >= 0 && total > 0 {
		foreign = max(0, (b.busy-b.steal)-(a.busy-a.steal)-(b.ours-a.ours)) / total
	}
	return Weather{
		Steal: share(a.steal, b.steal, total), Foreign: foreign,
		Throttled: share(a.throttled, b.throttled, seconds), Stalled: share(a.stalled, b.stalled, seconds),
	}
}

// String is one line for the reader, with what each disturbance beyond a few
// per cent does to the verdict. None of them can make a verdict wrong, since both
// sides of a pair meet them alike; they make it blind.
func (w Weather) String() string {
	parts := []struct {
		name   string
		share  float64
		effect string
	}{
		{"taken by the hypervisor", w.Steal, "co-run pairs share it, wall rows see less"},
		{"used by other processes", w.Foreign, "co-run pairs share it, wall rows see less"},
		{"throttled by the cgroup's CPU quota", w.Throttled, "wall rows measure the quota as much as the code"},
		{"stalled for memory", w.Stalled, "wall rows see less; give the machine more memory"},
	}
	var known, effects []string
	for _, p := range parts {
		if p.share < 0 {
			continue
		}
		known = append(known, fmt.Sprintf("%.1f %% %s", 100*p.share, p.name))
		if p.share > shareNoted {
			effects = append(effects, p.name+": "+p.effect)
		}
	}
	if len(known) == 0 {
		return ""
	}
	s := "while it measured: " + strings.Join(known, ", ")
	if len(effects) > 0 {
		s += " (" + strings.Join(effects, "; ") + ")"
	}
	return s
}

// shareNoted is the share from which a disturbance is worth a word.
const shareNoted = .05

func readCounters() counters {
	c := counters{total: -1, busy: -1, steal: -1, throttled: -1, stalled: -1, ours: ownCPU()}
	c.readStat(readFile("/proc/stat"))
	c.throttled = field(readFile("/sys/fs/cgroup/cpu.stat"), "throttled_usec") / 1e6
	c.stalled = pressure(readFile("/proc/pressure/memory")) / 1e6
	return c
}

// ticksPerSecond is the unit of /proc/stat, USER_HZ: 100 on every architecture
// that Go runs on.
const ticksPerSecond = 100

// readStat reads the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq, steal (proc(5)).
func (c *counters) readStat(text string) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return
	}
	var v [8]float64
	for i := range v {
		n, err := strconv.ParseFloat(f[i+1], 64)
		if err != nil {
			return
		}
		v[i] = n / ticksPerSecond
	}
	idle := v[3] + v[4]
	c.total = 0
	for _, x := range v {
		c.total += x
	}
	c.busy, c.steal = c.total-idle, v[7]
}

// field is the value of "name value" in a file of such lines, or a negative
// number.
func field(text, name string) float64 {
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, " "); ok && key == name {
			if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return n
			}
		}
	}
	return -1e6
}

// pressure is the "some" total of a pressure file in microseconds, or a negative
// number.
func pressure(text string) float64 {
	line, _, _ := strings.Cut(text, "\n")
	_, total, ok := strings.Cut(line, "total=")
	if n, err := strconv.ParseFloat(total, 64); ok && err == nil && strings.HasPrefix(line, "some ") {
		return n
	}
	return -1e6
}
