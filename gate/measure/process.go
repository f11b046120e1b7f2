package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfgate/perfgate/gate/machine"
)

// outputMax bounds what is kept of a benchmark process's output, per stream.
const outputMax = 4 << 20

// childEnv names the variables that a benchmark process gets from ours. The
// list is short on purpose: a benchmark must not depend on the caller's
// environment, and must not see its secrets.
var childEnv = []string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "USER", "SYSTEMROOT"}

// job is one process to run: one benchmark, at a fixed number of iterations.
type job struct {
	binary    string
	dir       string
	pattern   string // for -test.bench
	benchtime string // "20ms" or "1000x"
	procs     int    // GOMAXPROCS
	cores     []int  // pinned to these, or free when empty
	timeout   time.Duration
	planning  bool     // the run only chooses how to measure
	contended bool     // the run tells how long goroutines waited
	count     string   // an event to count, "TYPE,CONFIG" of perf_event_open(2); empty for none
	extra     int      // one operation in so many is done twice; 0 for none
	tmp       string   // its folder for temporary files, or empty for the caller's
	env       []string // further variables
}

// errHung: the process was killed at its time limit.
var errHung = errors.New("no end within the time limit")

// proc is a started process.
type proc struct {
	cmd    *exec.Cmd
	stdout limitedBuffer
	stderr limitedBuffer
	timer  *time.Timer
	hung   chan struct{}
	ready  *os.File // a byte, or the end of the file when the process died, says that it waits
	goOn   *os.File // a byte lets it go on
	stop   func() bool
}

// start launches j. With meet, the process waits before its timed part until
// release is called.
func start(ctx context.Context, j job, meet bool) (*proc, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &proc{hung: make(chan struct{})}
	p.cmd = exec.Command(j.binary,
		"-test.run=^$", "-test.bench="+j.pattern, "-test.benchtime="+j.benchtime,
		"-test.count=1", "-test.cpu="+strconv.Itoa(j.procs),
		"-test.timeout="+(j.timeout+30*time.Second).String())
	p.cmd.Dir = j.dir
	p.cmd.Env = append(environment(j.procs), j.env...)
	if j.planning {
		p.cmd.Env = append(p.cmd.Env, "PERFGATE_PLAN=1")
	}
	if j.contended {
		p.cmd.Env = append(p.cmd.Env, "PERFGATE_CONTENTION=1")
	}
	if j.count != "" {
		p.cmd.Env = append(p.cmd.Env, "PERFGATE_COUNT="+j.count)
	}
	if j.extra > 0 {
		p.cmd.Env = append(p.cmd.Env, "PERFGATE_EXTRA="+strconv.Itoa(j.extra))
	}
	if j.tmp != "" {
		p.cmd.Env = append(p.cmd.Env, "TMPDIR="+j.tmp)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// A grandchild that keeps the pipes open must not keep us waiting.
	p.cmd.WaitDelay = 2 * time.Second
	setGroup(p.cmd)
	var theirs []*os.File
	if meet {
		var err error
		if theirs, err = p.makeMeeting(); err != nil {
			return nil, err
		}
	}
	err := launch(p.cmd, j.cores)
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		p.closeMeeting()
		return nil, fmt.Errorf("starting %s: %w", j.binary, err)
	}
	p.timer = time.AfterFunc(j.timeout, func() {
		close(p.hung)
		p.kill()
	})
	p.stop = context.AfterFunc(ctx, p.kill)
	return p, nil
}

// kill ends the process. A child of it in a group of its own lives on and may
// hold the pipe of the meeting, so nobody may wait for that any longer either.
func (p *proc) kill() {
	killGroup(p.cmd)
	if p.ready != nil {
		_ = p.ready.SetReadDeadline(time.Now())
	}
}

func launch(cmd *exec.Cmd, cores []int) error {
	if len(cores) == 0 {
		return cmd.Start()
	}
	return machine.Pin(cores, cmd.Start)
}

func environment(procs int) []string {
	env := []string{"GOMAXPROCS=" + strconv.Itoa(procs)}
	for _, name := range childEnv {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// makeMeeting gives the process the pipes of PERFGATE_MEET: it reads from
// descriptor 3 and writes to 4.
func (p *proc) makeMeeting() (theirs []*os.File, err error) {
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		goRead.Close()
		goWrite.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	p.cmd.ExtraFiles = []*os.File{goRead, readyWrite}
	p.cmd.Env = append(p.cmd.Env, "PERFGATE_MEET=3,4")
	p.ready, p.goOn = readyRead, goWrite
	return []*os.File{goRead, readyWrite}, nil
}

func (p *proc) closeMeeting() {
	for _, f := range []*os.File{p.ready, p.goOn} {
		if f != nil {
			f.Close()
		}
	}
}

// awaitReady returns when the process waits before its timed part, is gone, or
// was killed.
func (p *proc) awaitReady() {
	var b [1]byte
	_, _ = p.ready.Read(b[:])
}

// release lets the process begin its timed part. One that is gone already will
// say so in wait.
func (p *proc) release() { _, _ = p.goOn.Write([]byte{0}) }

// finished is a process that ended.
type finished struct {
	stdout, stderr string
	cpu            time.Duration
	lost           int   // bytes of standard output beyond outputMax
	err            error // errHung, an exit status, or nil
}

// wait collects the process. The error is only for an interrupted run.
func (p *proc) wait(ctx context.Context) (finished, error) {
	err := p.cmd.Wait()
	p.timer.Stop()
	p.stop()
	killGroup(p.cmd)
	p.closeMeeting()
	if ctx.Err() != nil {
		return finished{}, ctx.Err()
	}
	select {
	case <-p.hung:
		err = errHung
	default:
	}
	return finished{
		stdout: p.stdout.String(), stderr: p.stderr.String(), lost: p.stdout.lost, err: err,
		cpu: p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(),
	}, nil
}

// limitedBuffer keeps the first outputMax bytes and counts the rest.
type limitedBuffer struct {
	buf  bytes.Buffer
	lost int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), outputMax-b.buf.Len())
	b.buf.Write(p[:keep])
	b.lost += len(p) - keep
	return len(p), nil
}

func (b *limitedBuffer) String() string { return b.buf.String() }

// tail is the end of a failed process's output, for the reader.
func tail(f finished, dir string) string {
	lines := slices.DeleteFunc(strings.Split(f.stdout+"\n"+f.stderr, "\n"), func(l string) bool {
		return strings.TrimSpace(l) == "" || l == "PASS" || strings.HasPrefix(l, "exit status")
	})
	// The reason of a panic stands in its first lines, that of b.Fatal in its last.
	for i, l := range lines {
		if strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") || strings.HasPrefix(l, "--- FAIL") {
			lines = lines[i:]
			break
		}
	}
	const keep = 8
	if len(lines) > keep {
		lines = lines[:keep]
	}
	return trimOutput(strings.Join(lines, "\n"), dir)
}
