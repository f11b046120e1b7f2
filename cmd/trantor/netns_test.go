package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// TestReplicasInNamespacesAgreeDespiteDelayAndLoss runs four durable replicas
// and a client, each in a network namespace of its own. What they send each other
// is delayed and some of it lost; a replica is cut off for a while and another
// one is killed and comes back. Every answer that the client gets must be right,
// and in the end all replicas have the same state.
//
// The network between the namespaces is a switch in this test (see wires):
// traffic control of the kernel (tc netem) would do the same, but many kernels
// are built without it.
func TestReplicasInNamespacesAgreeDespiteDelayAndLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs for ten seconds")
	}
	needNamespaces(t)
	const n = 4
	net := newWires(t, n+1, 2*time.Millisecond, 8*time.Millisecond, 0.01)
	dir, hosts := t.TempDir(), []string(nil)
	for i := range n {
		hosts = append(hosts, net.ends[i].addr.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	p, err := cluster.StartProcesses(ctx, cluster.ProcessesConfig{
		Dir: dir, NoWait: true,
		Plan: server.Plan{
			Replicas: n, Durable: true, Hosts: hosts, BasePort: 7000,
			Params: map[string]string{"epoch-length": "64", "view-timeout": "1s", "retry-after": "300ms"},
		},
		Command: func(id types.NodeID) []string { return net.ends[id].in("trantor") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	for id := range n {
		net.status(ctx, t, p, id)
	}
	command := net.ends[n].in("trantor", "load", "--members", filepath.Join(dir, server.MembersFile),
		"--closed-loop", "16", "--clients", "8", "--duration", "6s", "--timeout", "60s")
	load := exec.CommandContext(ctx, command[0], command[1:]...)
	var out strings.Builder
	load.Stdout, load.Stderr = &out, &out
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- load.Wait() }()

	pause(ctx, time.Second)
	net.ends[3].cut.Store(true)
	pause(ctx, 1500*time.Millisecond)
	net.ends[3].cut.Store(false)
	pause(ctx, time.Second)
	if err := p.Kill(1); err != nil {
		t.Error(err)
	}
	pause(ctx, time.Second)
	if err := p.Restart(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := <-loaded; err != nil {
		t.Errorf("the load ends with %v:\n%s", err, out.String())
	}
	t.Logf("%s%d packets carried, %d lost", out.String(), net.carried.Load(), net.lost.Load())
	if net.lost.Load() == 0 {
		t.Error("no packet was lost")
	}
	net.waitForAgreement(ctx, t, p)
}

// pause gives the system time under a condition; no result depends on it.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// waitForAgreement waits until all replicas have the same state.
func (w *wires) waitForAgreement(ctx context.Context, t *testing.T, p *cluster.Processes) {
	t.Helper()
	for {
		states := map[string]bool{}
		var all []server.Status
		for id := range p.N() {
			s := w.status(ctx, t, p, id)
			states[s.AppHash] = true
			all = append(all, s)
		}
		if len(states) == 1 {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the replicas do not agree: %+v", all)
		}
	}
}

// status asks a replica, within its namespace.
func (w *wires) status(ctx context.Context, t *testing.T, p *cluster.Processes, id int) (s server.Status) {
	t.Helper()
	command := w.ends[id].in("trantor", "status", "--config", p.Config(types.NodeID(id)), "--wait", "60s", "--hash")
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		log, _ := os.ReadFile(p.Log(types.NodeID(id)))
		t.Fatalf("replica %d: %v\n%s%s", id, err, stderr.String(), log)
	}
	return s
}

// needNamespaces skips the test where the machine has no network namespaces, or
// no TUN devices, to give. With REQUIRE_ALL that is a failure, unless it is the
// kernel that refuses: then no installation would help. The probes are
// `ip netns add` and opening /dev/net/tun.
func needNamespaces(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatal("REQUIRE_ALL is set and this machine has no ip (of iproute2)")
		}
		t.Skip("SKIPPED: no network namespaces: this machine has no ip (of iproute2)")
	}
	name := fmt.Sprintf("trantor-probe-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this machine cannot make network namespaces at all: ip netns add: %v: %s", err, out)
	}
	_ = exec.Command("ip", "netns", "del", name).Run()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: this machine has no TUN devices at all: /dev/net/tun: %v", err)
	}
	_ = unix.Close(fd)
}

// wires are network namespaces, and the network between them: each has a TUN
// device, and what goes into one comes out of the device of the namespace that it
// is for, after a delay, or never.
type wires struct {
	delay, jitter time.Duration
	loss          float64
	ends          []*end
	readers       sync.WaitGroup
	carried, lost atomic.Uint64

	mu  sync.Mutex
	rng *rand.Rand
}

// end is one namespace.
type end struct {
	name string
	addr netip.Addr
	tun  *os.File
	cut  atomic.Bool // Nothing comes or goes.
}

// in is a command line within the namespace.
func (e *end) in(command ...string) []string {
	return append([]string{"ip", "netns", "exec", e.name}, command...)
}

func newWires(t *testing.T, n int, delay, jitter time.Duration, loss float64) *wires {
	t.Helper()
	w := &wires{delay: delay, jitter: jitter, loss: loss, rng: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(w.close)
	for i := range n {
		e, err := newEnd(i)
		if e != nil {
			w.ends = append(w.ends, e)
		}
		if err != nil {
			t.Fatalf("setting namespace %d up: %v", i, err)
		}
	}
	for _, e := range w.ends {
		w.readers.Go(func() { w.read(e) })
	}
	return w
}

// newEnd makes a namespace with a device. The addresses are of a range for
// private use; nothing leaves the machine.
func newEnd(i int) (*end, error) {
	name := fmt.Sprintf("trantor-%d-%d", os.Getpid(), i)
	device := fmt.Sprintf("tt%d-%d", os.Getpid()%100000, i)
	e := &end{name: name, addr: netip.AddrFrom4([4]byte{10, 213, 7, byte(i + 1)})}
	if err := ip("netns", "add", name); err != nil {
		return nil, err
	}
	var err error
	if e.tun, err = openTUN(device); err != nil {
		return e, err
	}
	return e, errors.Join(
		ip("link", "set", device, "netns", name),
		ip("-n", name, "addr", "add", e.addr.String()+"/24", "dev", device),
		ip("-n", name, "link", "set", device, "up"),
		ip("-n", name, "link", "set", "lo", "up"),
	)
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func openTUN(device string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// read carries what a namespace sends until its device is closed.
func (w *wires) read(from *end) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.tun.Read(buffer)
		if err != nil {
			return
		}
		packet := append([]byte(nil), buffer[:n]...)
		to := w.receiver(packet)
		if to == nil {
			continue
		}
		after, arrives := w.fate()
		if !arrives || from.cut.Load() || to.cut.Load() {
			w.lost.Add(1)
			continue
		}
		w.carried.Add(1)
		time.AfterFunc(after, func() { _, _ = to.tun.Write(packet) }) // The device may be gone.
	}
}

// receiver is the namespace that an IPv4 packet is for.
func (w *wires) receiver(packet []byte) *end {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return nil
	}
	for _, e := range w.ends {
		if addr := e.addr.As4(); string(packet[16:20]) == string(addr[:]) {
			return e
		}
	}
	return nil
}

func (w *wires) fate() (after time.Duration, arrives bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delay + time.Duration(w.rng.Float64()*float64(w.jitter)), w.rng.Float64() >= w.loss
}

func (w *wires) close() {
	for _, e := range w.ends {
		if e.tun != nil {
			_ = e.tun.Close() // Its reader ends.
		}
	}
	w.readers.Wait()
	for _, e := range w.ends {
		_ = ip("netns", "del", e.name)
	}
}
