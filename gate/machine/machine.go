// Package machine says what machine this is: the class within which stored
// baselines hold, the cores a benchmark may be pinned to, the known sources of
// noise, and what disturbed a session. Its one opinion is that noise is told and
// never used: no verdict depends on what is found here.
package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/gate/recording"
)

// Describe tells the class of this machine for a Go version ("go1.26.8"), and
// its noise sources as notes for the reader.
func Describe(goVersion string) recording.Machine {
	class := map[string]string{
		"cpu":            cpuModel(),
		"cores":          strconv.Itoa(len(Cores())),
		"goos":           runtime.GOOS,
		"goarch":         runtime.GOARCH,
		"go":             goVersion,
		"virtualization": virtualization(),
	}
	return recording.Machine{ClassID: ClassID(class), Class: class, Notes: notes()}
}

// ClassID is a short readable name of a class: system, architecture, cores and
// the first 8 hexadecimal digits of the hash over all of it.
func ClassID(class map[string]string) string {
	keys := make([]string, 0, len(class))
	for k := range class {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	h := sha256.New()
	for _, k := range keys {
		fmt.Fprintf(h, "%s=%s\n", k, class[k])
	}
	return fmt.Sprintf("%s-%s-%sc-%s", class["goos"], class["goarch"], class["cores"], hex.EncodeToString(h.Sum(nil))[:8])
}

// notes lists what is known to make measurements on this machine noisy.
func notes() []string {
	var out []string
	if n := len(Cores()); n == 1 {
		out = append(out, "one core only: the co-run channel works, the wall channel is not measurable here")
	}
	if !CanPin() {
		out = append(out, "processes cannot be pinned to a core here: the co-run channel falls back to unpinned pairs, and sees less")
	}
	if load := firstField(readFile("/proc/loadavg")); load != "" {
		if v, err := strconv.ParseFloat(load, 64); err == nil && v > 0.5*float64(len(Cores())) {
			out = append(out, fmt.Sprintf("load average was %s at the start: something else is running", load))
		}
	}
	if g := strings.TrimSpace(readFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")); g != "" && g != "performance" {
		out = append(out, "cpu frequency governor is "+g)
	}
	if quota := strings.TrimSpace(readFile("/sys/fs/cgroup/cpu.max")); quota != "" && !strings.HasPrefix(quota, "max") {
		out = append(out, "cgroup limits CPU time: cpu.max is "+quota)
	}
	return out
}

func cpuModel() string {
	for _, line := range strings.Split(readFile("/proc/cpuinfo"), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			switch strings.TrimSpace(name) {
			case "model name", "cpu model", "Processor":
				return strings.Join(strings.Fields(value), " ")
			}
		}
	}
	return "unknown"
}

// virtualization is "vm" where the CPU says that a hypervisor runs it, "none"
// where it says it does not, else "unknown".
func virtualization() string {
	info := readFile("/proc/cpuinfo")
	for _, line := range strings.Split(info, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			if strings.Contains(" "+value+" ", " hypervisor ") {
				return "vm"
			}
			return "none"
		}
	}
	return "unknown"
}

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func firstField(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}
