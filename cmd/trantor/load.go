package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/perfgate/perfgate/benchsuite/workload"
	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/cluster"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// Bounds of a load, so that a slip of the finger takes no machine.
const (
	loadRateMax    = 1_000_000
	loadLanesMax   = 1 << 16
	openLoopLanes  = 4096 // Transactions in flight in an open loop, at most.
	loadClientsMax = 1 << 14
)

// loadConfig is what the flags say.
type loadConfig struct {
	members  server.Members
	clients  int
	first    uint64 // The ID of the first client.
	rate     int    // Of an open loop; 0 for a closed one.
	lanes    int    // Transactions in flight, at most.
	size     int
	duration time.Duration
	timeout  time.Duration // How long a transaction may take.
	trustOne bool
	admins   []string // Of replicas whose states are compared in the end.
	asked    bool     // The comparison is wanted, and not only made where it can be.
}

// load loads a system and checks its answers.
func load(args []string, stdout io.Writer) error {
	cfg, err := loadFlags(args, stdout)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	dialCtx, cancel := context.WithTimeout(ctx, cfg.timeout)
	defer cancel()
	c, err := client.Dial(dialCtx, cluster.ClientMembers(cfg.members.Members), client.Options{TrustOne: cfg.trustOne, InFlightMax: cfg.lanes})
	if err != nil {
		return exitError{exitUnavailable, fmt.Errorf("load: %w", err)}
	}
	l := newLoader(cfg, c)
	l.run(ctx)
	l.again(ctx)
	stats := c.Stats()
	if err := c.Close(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := l.report(stdout, stats); err != nil {
		return err
	}
	if err := agreement(ctx, cfg.admins, cfg.asked, stdout); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "every answer was right")
	return err
}

func loadFlags(args []string, stdout io.Writer) (loadConfig, error) {
	flags := newFlags("load", "", stdout)
	var cfg loadConfig
	members := flags.String("members", "", "members.yml, or the configuration `file` of a replica (required)")
	app := flags.String("app", "", "the application, kv or chain; that of the file if empty")
	flags.IntVar(&cfg.clients, "clients", 64, "clients that the transactions come from")
	flags.Uint64Var(&cfg.first, "first-client", 0, "the `ID` of the first client; 0 for a random one, since clients number their transactions from 0")
	flags.IntVar(&cfg.rate, "rate", 0, "open loop: so many transactions each second, due whether or not earlier ones are answered")
	flags.IntVar(&cfg.lanes, "closed-loop", 0, "closed loop: so many transactions in flight")
	flags.DurationVar(&cfg.duration, "duration", 10*time.Second, "how long")
	flags.DurationVar(&cfg.timeout, "timeout", 30*time.Second, "a transaction without an answer for so long is lost")
	flags.IntVar(&cfg.size, "size", workload.PayloadBytes, "bytes of a payload (kv: of a value)")
	admins := flags.String("admins", "", "administrators' `addresses`, with commas between them, of replicas whose states are compared in the end; those of configuration files beside --members if empty")
	flags.BoolVar(&cfg.trustOne, "trust-one", false, "take the word of one replica, instead of equal answers of more than f")
	if _, err := parse(flags, args, 0); err != nil {
		return cfg, err
	}
	if *members == "" {
		return cfg, errors.New("load: no --members FILE given; trantor init writes members.yml")
	}
	var err error
	if cfg.members, err = server.LoadMembers(*members); err != nil {
		return cfg, fmt.Errorf("load: %w", err)
	}
	if cfg.admins = administrators(*members, cfg.members.Members); *admins != "" {
		cfg.admins, cfg.asked = strings.Split(*admins, ","), true
	}
	if *app != "" {
		cfg.members.Application = *app
	}
	if err := cfg.check(); err != nil {
		return cfg, err
	}
	if cfg.rate > 0 {
		cfg.lanes = openLoopLanes
	}
	if cfg.first == 0 {
		cfg.first = rand.Uint64() >> 2 // Far from reserved IDs.
	}
	return cfg, nil
}

func (c loadConfig) check() error {
	switch {
	case server.Applications[c.members.Application] == nil:
		return fmt.Errorf("load: --app %s: want kv or chain", c.members.Application)
	case (c.rate == 0) == (c.lanes == 0):
		return errors.New("load: want --rate N for an open loop, or --closed-loop N")
	case c.rate < 0 || c.rate > loadRateMax:
		return fmt.Errorf("load: --rate %d: want 1 to %d transactions a second", c.rate, loadRateMax)
	case c.lanes < 0 || c.lanes > loadLanesMax:
		return fmt.Errorf("load: --closed-loop %d: want 1 to %d transactions in flight", c.lanes, loadLanesMax)
	case c.clients < 1 || c.clients > loadClientsMax:
		return fmt.Errorf("load: --clients %d: want 1 to %d", c.clients, loadClientsMax)
	case c.size < 0 || c.size > types.MaxBatchBytes/2:
		return fmt.Errorf("load: --size %d: want 0 to %d bytes", c.size, types.MaxBatchBytes/2)
	case c.duration <= 0 || c.timeout <= 0:
		return errors.New("load: --duration and --timeout: want more than 0")
	}
	return nil
}

// quantiles are shown of the latencies.
var quantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

// report says what happened. A wrong or missing answer is an error.
func (l *loader) report(stdout io.Writer, stats client.Stats) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var latencies []string
	for _, q := range quantiles {
		latencies = append(latencies, fmt.Sprintf("%s %v", q.name, l.latency.Quantile(q.q).Round(time.Microsecond)))
	}
	fmt.Fprintf(stdout, "submitted %d, delivered %d, lost %d, wrong %d\n", l.submitted, l.delivered, l.lost, l.wrong)
	fmt.Fprintf(stdout, "throughput %.1f tx/s in %v\n", float64(l.delivered)/l.took.Seconds(), l.took.Round(time.Millisecond))
	fmt.Fprintf(stdout, "latency %s\n", strings.Join(latencies, ", "))
	fmt.Fprintf(stdout, "submitted again %d: %d answered as before\n", l.repeated, l.confirmed)
	fmt.Fprintf(stdout, "replicas connected %d of %d, connections lost %d, refusals tried again %d, retries %d, conflicting answers %d\n",
		stats.Connected, len(l.cfg.members.Members), stats.Reconnects, l.refused, stats.Retries, stats.Conflicts)
	switch {
	case l.lost > 0 || l.wrong > 0 || stats.Conflicts > 0:
		return exitError{exitWrong, fmt.Errorf("load: %d transactions lost, %d answers wrong, %d conflicting; the first: %w", l.lost, l.wrong, stats.Conflicts, l.first())}
	case l.delivered == 0:
		return exitError{exitUnavailable, errors.New("load: nothing was delivered")}
	}
	return nil
}

func (l *loader) first() error {
	if l.firstWrong == nil {
		return errors.New("an answer unlike that of more than f replicas")
	}
	return l.firstWrong
}
