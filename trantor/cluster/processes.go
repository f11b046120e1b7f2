package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// stopWithin is how long a process may take to end in order; it is killed then.
const stopWithin = 15 * time.Second

// ProcessesConfig of a cluster of processes.
type ProcessesConfig struct {
	// Dir gets keys, configurations, data and logs. Where it holds a system
	// already (server.MembersFile), that one is started and Plan is not used.
	Dir  string
	Plan server.Plan
	// Command begins the command line of a replica's process, which ends with
	// node --config FILE. Nil for this program.
	Command func(types.NodeID) []string
	// NoWait returns before the replicas are ready: for those whose
	// administrator's address cannot be reached from here.
	NoWait bool
}

// Processes are n replicas, each a process of its own.
type Processes struct {
	cfg     ProcessesConfig
	members server.Members
	configs []server.Config

	mu      sync.Mutex
	running []*process // By replica; nil where none runs.
}

// process is one run of a replica.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // Closed when it has ended.
	err  error         // Of Wait; readable once done is closed.
}

// StartProcesses sets up a system where there is none yet, starts its replicas
// and waits until they are ready.
func StartProcesses(ctx context.Context, cfg ProcessesConfig) (*Processes, error) {
	p, err := openProcesses(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting processes: %w", err)
	}
	for id := range p.configs {
		if err := p.Start(types.NodeID(id)); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
	}
	for id := range p.configs {
		if cfg.NoWait {
			break
		}
		if err := p.WaitReady(ctx, types.NodeID(id)); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
	}
	return p, nil
}

func openProcesses(cfg ProcessesConfig) (*Processes, error) {
	members := filepath.Join(cfg.Dir, server.MembersFile)
	if _, err := os.Stat(members); errors.Is(err, os.ErrNotExist) {
		if err := server.Init(cfg.Dir, cfg.Plan); err != nil {
			return nil, err
		}
	}
	p := &Processes{cfg: cfg}
	var err error
	if p.members, err = server.LoadMembers(members); err != nil {
		return nil, err
	}
	for id := range p.members.Members {
		c, err := server.Load(p.Config(types.NodeID(id)))
		if err != nil {
			return nil, err
		}
		p.configs = append(p.configs, c)
	}
	p.running = make([]*process, len(p.configs))
	return p, nil
}

// N is the number of replicas.
func (p *Processes) N() int { return len(p.configs) }

// Config is the path of a replica's configuration file.
func (p *Processes) Config(id types.NodeID) string { return server.ConfigPath(p.cfg.Dir, id) }

// Log is the path of what a replica's runs wrote to their standard error.
func (p *Processes) Log(id types.NodeID) string {
	return filepath.Join(filepath.Dir(p.Config(id)), "log")
}

// Members are the replicas as clients know them.
func (p *Processes) Members() []client.Member { return ClientMembers(p.members.Members) }

// ClientMembers are replicas as clients know them.
func ClientMembers(members []server.Member) []client.Member {
	all := make([]client.Member, len(members))
	for i, m := range members {
		all[i] = client.Member{Node: m.Node, Weight: m.Weight, Key: m.Key, Addr: m.Clients}
	}
	return all
}

// Admin is where a replica answers its administrator.
func (p *Processes) Admin(id types.NodeID) string { return p.configs[id].Listen.Admin }

// Start starts a replica that does not run, without waiting for it.
func (p *Processes) Start(id types.NodeID) error {
	if p.run(id) != nil {
		return fmt.Errorf("replica %d runs already", id)
	}
	log, err := os.OpenFile(p.Log(id), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("starting replica %d: %w", id, err)
	}
	defer log.Close()
	command, err := p.command(id)
	if err != nil {
		return fmt.Errorf("starting replica %d: %w", id, err)
	}
	run := &process{cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	run.cmd.Stdout, run.cmd.Stderr = log, log
	// A replica outlives an interrupt of the terminal until Stop, and dies
	// with whoever started it.
	run.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := run.cmd.Start(); err != nil {
		return fmt.Errorf("starting replica %d: %w", id, err)
	}
	p.mu.Lock()
	p.running[id] = run
	p.mu.Unlock()
	go func() {
		run.err = run.cmd.Wait()
		close(run.done)
	}()
	return nil
}

func (p *Processes) command(id types.NodeID) ([]string, error) {
	var command []string
	if p.cfg.Command != nil {
		command = p.cfg.Command(id)
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		command = []string{self}
	}
	return append(command, "node", "--config", p.Config(id)), nil
}

// WaitReady waits until a replica that runs is ready.
func (p *Processes) WaitReady(ctx context.Context, id types.NodeID) error {
	run := p.run(id)
	if run == nil {
		return fmt.Errorf("replica %d: %w", id, os.ErrProcessDone)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-run.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := server.WaitReady(ctx, p.Admin(id))
	if err == nil {
		return nil
	}
	select {
	case <-run.done:
		return fmt.Errorf("replica %d ended (%v); its last words are %q", id, run.err, p.lastWords(id))
	default:
		return fmt.Errorf("replica %d: %w", id, err)
	}
}

// lastWordsBytes is how much of a log an error shows.
const lastWordsBytes = 2000

func (p *Processes) lastWords(id types.NodeID) string {
	log, err := os.ReadFile(p.Log(id))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-lastWordsBytes):])
}

// Status asks a replica for its status.
func (p *Processes) Status(ctx context.Context, id types.NodeID, hash bool) (server.Status, error) {
	return server.AskStatus(ctx, p.Admin(id), hash)
}

// Kill ends a replica as a power failure would: without warning.
func (p *Processes) Kill(id types.NodeID) error { return p.end(id, syscall.SIGKILL) }

// Terminate asks a replica to stop in order, and returns when it has.
func (p *Processes) Terminate(id types.NodeID) error { return p.end(id, syscall.SIGTERM) }

// Restart starts a replica that was killed or terminated, and waits until it is
// ready. Without a data directory it has forgotten what it signed: it is then
// faulty, and counts as one of the f that are tolerated.
func (p *Processes) Restart(ctx context.Context, id types.NodeID) error {
	if err := p.Start(id); err != nil {
		return err
	}
	if p.cfg.NoWait {
		return nil
	}
	return p.WaitReady(ctx, id)
}

// Wait returns when a replica ends that nobody ended, with the reason, or when
// ctx does.
func (p *Processes) Wait(ctx context.Context) error {
	ended := make(chan error, p.N())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for id := range p.configs {
		run := p.run(types.NodeID(id))
		if run == nil {
			continue
		}
		go func() {
			select {
			case <-run.done:
				ended <- fmt.Errorf("replica %d ended (%v); its last words are %q", id, run.err, p.lastWords(types.NodeID(id)))
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Stop terminates all replicas. It returns why any of them did not end in order,
// or had ended before by itself.
func (p *Processes) Stop() error {
	errs := make([]error, p.N())
	var wait sync.WaitGroup
	for id := range p.configs {
		if p.run(types.NodeID(id)) != nil {
			wait.Go(func() { errs[id] = p.Terminate(types.NodeID(id)) })
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (p *Processes) run(id types.NodeID) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[id]
}

func (p *Processes) end(id types.NodeID, signal syscall.Signal) error {
	run := p.run(id)
	if run == nil {
		return fmt.Errorf("replica %d: %w", id, os.ErrProcessDone)
	}
	if err := run.signal(signal); err != nil {
		return fmt.Errorf("ending replica %d: %w", id, err)
	}
	late := time.AfterFunc(stopWithin, func() { _ = run.signal(syscall.SIGKILL) })
	<-run.done
	p.mu.Lock()
	p.running[id] = nil
	p.mu.Unlock()
	if intime := late.Stop(); signal == syscall.SIGKILL {
		return nil
	} else if !intime {
		return fmt.Errorf("replica %d did not stop within %v and was killed", id, stopWithin)
	}
	if run.err != nil {
		return fmt.Errorf("replica %d: %w; its last words are %q", id, run.err, p.lastWords(id))
	}
	return nil
}

// signal signals the whole group, since the command may have started the replica as
// a child. A run that has ended gets none: its number may be that of another group
// by now.
func (r *process) signal(signal syscall.Signal) error {
	select {
	case <-r.done:
		return nil
	default:
	}
	if err := syscall.Kill(-r.cmd.Process.Pid, signal); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
