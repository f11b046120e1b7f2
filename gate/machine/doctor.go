package machine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// A Finding is one thing about this machine that matters to measurements.
type Finding struct {
	Name string // "frequency governor"
	OK   bool
	What string // what is the case
	Fix  string // what would help; empty where OK
}

// Examine looks for the known sources of noise. It changes nothing and measures
// nothing; Probe measures.
func Examine() []Finding {
	cores := Cores()
	findings := []Finding{
		finding("cores", len(cores) > 1, fmt.Sprintf("%d usable", len(cores)),
			"give the machine a second core: on one the wall channel cannot be measured"),
		finding("pinning", CanPin(), yesNo(CanPin(), "processes can be pinned to a core", "processes cannot be pinned to a core"),
			"allow sched_setaffinity: without it pairs meet different weather, and the gate sees less"),
	}
	findings = append(findings, examineFrequency()...)
	if active := strings.TrimSpace(readFile("/sys/devices/system/cpu/smt/active")); active != "" {
		findings = append(findings, finding("hyper-threads", active != "1", yesNo(active == "1", "on: two of the cores may share one", "off"),
			"turn simultaneous multithreading off (nosmt), or measure on every second CPU with taskset"))
	}
	virtual := virtualization()
	findings = append(findings, finding("virtualization", virtual != "vm", map[string]string{"vm": "a virtual machine", "none": "none seen", "unknown": "unknown"}[virtual],
		"nothing has to be done: neighbours make noise, and the gate compares within pairs"))
	findings = append(findings, examineQuota(), examineLoad(len(cores)), examineCounters(), examineTemp())
	return findings
}

func finding(name string, ok bool, what, fix string) Finding {
	f := Finding{Name: name, OK: ok, What: what}
	if !ok {
		f.Fix = fix
	}
	return f
}

func yesNo(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

func examineFrequency() []Finding {
	governor := strings.TrimSpace(readFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
	if governor == "" {
		return []Finding{finding("frequency", true, "the kernel does not control it here", "")}
	}
	findings := []Finding{finding("frequency governor", governor == "performance", governor,
		"cpupower frequency-set -g performance")}
	if noTurbo := strings.TrimSpace(readFile("/sys/devices/system/cpu/intel_pstate/no_turbo")); noTurbo != "" {
		findings = append(findings, finding("turbo", noTurbo == "1", yesNo(noTurbo == "1", "off", "on: the clock depends on heat and on the other cores"),
			"echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo"))
	}
	return findings
}

func examineQuota() Finding {
	quota := strings.TrimSpace(readFile("/sys/fs/cgroup/cpu.max"))
	limited := quota != "" && !strings.HasPrefix(quota, "max")
	return finding("CPU quota", !limited, yesNo(limited, "the cgroup's cpu.max is "+quota, "none"),
		"raise the container's CPU limit to whole cores: what is throttled measures the quota")
}

func examineLoad(cores int) Finding {
	load, err := strconv.ParseFloat(firstField(readFile("/proc/loadavg")), 64)
	if err != nil {
		return finding("load", true, "unknown", "")
	}
	return finding("load", load <= .5*float64(cores), fmt.Sprintf("%.2f over the last minute", load),
		"stop what else runs: the wall channel sees less on a busy machine")
}

func examineCounters() Finding {
	if err := OpenInstructions(); err != nil {
		return finding("instruction counter", false, err.Error(), "nothing has to be done: instructions only explain, and time decides")
	}
	return finding("instruction counter", true, "works", "")
}

func examineTemp() Finding {
	dir := os.TempDir()
	probe, err := os.CreateTemp(dir, "perfgate-doctor-*")
	if err != nil {
		return finding("temporary files", false, err.Error(), "set TMPDIR to a folder that can be written")
	}
	defer os.Remove(probe.Name())
	return finding("temporary files", probe.Close() == nil, dir+" can be written", "set TMPDIR to a folder that can be written")
}

// Platform is the system in words.
func Platform() string {
	return fmt.Sprintf("%s, %d cores, %s/%s", cpuModel(), len(Cores()), runtime.GOOS, runtime.GOARCH)
}
