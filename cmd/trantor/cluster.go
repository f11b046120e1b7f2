package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// readyWithin is how long replicas may take to find each other.
const readyWithin = time.Minute

// clusterCommand runs n replicas on this machine until it is interrupted.
func clusterCommand(args []string, stdout, stderr io.Writer) (err error) {
	flags := newFlags("cluster", "", stdout)
	plan := planFlags(flags)
	dir := flags.String("dir", "", "the `folder` for keys, configurations, data and logs, which may hold a system already; a temporary one if empty")
	inProcess := flags.Bool("in-process", false, "all replicas in this process, instead of one for each")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	if err := checkPlanUnused(flags, *dir); err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "trantor-cluster-"); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(*dir)) }()
	}
	ctx, stop := untilSignal()
	defer stop()
	run := runProcesses
	if *inProcess {
		run = runServers
	}
	if err := run(ctx, *dir, *plan, stdout, stderr); err != nil {
		return exitError{exitUnavailable, fmt.Errorf("cluster: %w", err)}
	}
	return nil
}

// checkPlanUnused refuses flags that describe a new system where the folder holds
// one already: they would have no effect.
func checkPlanUnused(flags *flag.FlagSet, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, server.MembersFile)); dir == "" || err != nil {
		return nil
	}
	var unused []string
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "dir" && f.Name != "in-process" {
			unused = append(unused, "--"+f.Name)
		}
	})
	if len(unused) == 0 {
		return nil
	}
	return fmt.Errorf("cluster: %s holds a system already, which %s cannot change: leave the flags out, or give another --dir",
		dir, strings.Join(unused, " and "))
}

func runProcesses(ctx context.Context, dir string, plan server.Plan, stdout, _ io.Writer) error {
	readyCtx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	p, err := cluster.StartProcesses(readyCtx, cluster.ProcessesConfig{Dir: dir, Plan: plan})
	if err != nil {
		if ctx.Err() != nil {
			return nil // Interrupted before all were ready.
		}
		return err
	}
	if err := announce(stdout, dir, p.N()); err != nil {
		return errors.Join(err, p.Stop())
	}
	return errors.Join(p.Wait(ctx), p.Stop())
}

// runServers runs the replicas in this process. The first one that fails ends
// all.
func runServers(ctx context.Context, dir string, plan server.Plan, stdout, stderr io.Writer) error {
	if _, err := os.Stat(filepath.Join(dir, server.MembersFile)); errors.Is(err, os.ErrNotExist) {
		if err := server.Init(dir, plan); err != nil {
			return err
		}
	}
	members, err := server.LoadMembers(filepath.Join(dir, server.MembersFile))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(members.Members))
	running := 0
	var errs []error
	for id := range members.Members {
		if err := startServer(ctx, dir, types.NodeID(id), stderr, ended); err != nil {
			errs = append(errs, err)
			break
		}
		running++
	}
	if len(errs) > 0 {
		cancel()
	} else if err := announce(stdout, dir, len(members.Members)); err != nil {
		errs = append(errs, err)
		cancel()
	}
	for range running {
		errs = append(errs, <-ended)
		cancel()
	}
	return errors.Join(errs...)
}

func startServer(ctx context.Context, dir string, id types.NodeID, stderr io.Writer, ended chan<- error) error {
	cfg, err := server.Load(server.ConfigPath(dir, id))
	if err != nil {
		return err
	}
	s, err := server.New(cfg, serverOptions(stderr))
	if err != nil {
		return err
	}
	go func() { ended <- s.Run(ctx) }()
	return nil
}

// announce says where the replicas are.
func announce(stdout io.Writer, dir string, n int) error {
	for id := range n {
		cfg, err := server.Load(server.ConfigPath(dir, types.NodeID(id)))
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "replica %d: replicas %s, clients %s, admin http://%s\n", id, cfg.Listen.Replicas, cfg.Listen.Clients, cfg.Listen.Admin)
	}
	_, err := fmt.Fprintf(stdout, "clients: %s\n%d replicas run\n", filepath.Join(dir, server.MembersFile), n)
	return err
}
