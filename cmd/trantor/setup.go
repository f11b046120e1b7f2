package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// planFlags defines the flags of commands that set a system up.
func planFlags(flags *flag.FlagSet) *server.Plan {
	plan := &server.Plan{Params: map[string]string{}}
	flags.IntVar(&plan.Replicas, "n", 4, "replicas")
	flags.StringVar(&plan.System, "system", "", "the system's `name`; random if empty")
	flags.StringVar(&plan.Application, "app", "kv", "the application: kv or chain")
	flags.BoolVar(&plan.Durable, "durable", false, "keep on disk what must survive a restart")
	flags.BoolVar(&plan.Pprof, "pprof", false, "serve profiles at the administrator's address")
	flags.Func("weights", "votes of the replicas, such as `1,1,2,1`; 1 each if not given", func(list string) error {
		for text := range strings.SplitSeq(list, ",") {
			weight, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return errors.New("want whole numbers with commas between them")
			}
			plan.Weights = append(plan.Weights, weight)
		}
		return nil
	})
	flags.Func("param", "a setting that differs from the default, such as `view-timeout=2s`; may be repeated", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want KEY=VALUE")
		}
		plan.Params[key] = value
		return nil
	})
	return plan
}

// initSystem writes the keys and configurations of a new system.
func initSystem(args []string, stdout io.Writer) error {
	flags := newFlags("init", "", stdout)
	plan := planFlags(flags)
	dir := flags.String("dir", "", "the `folder` to write to (required)")
	flags.IntVar(&plan.BasePort, "port", 0, "the first of three ports that a replica uses; 0 for ports that are free on this machine now")
	flags.Func("hosts", "where the replicas run, such as `a.example,b.example`: one host for all, or one for each", func(list string) error {
		plan.Hosts = strings.Split(list, ",")
		return nil
	})
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("init: no --dir FOLDER given")
	}
	if err := server.Init(*dir, *plan); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	for id := range plan.Replicas {
		fmt.Fprintf(stdout, "replica %d: %s\n", id, server.ConfigPath(*dir, types.NodeID(id)))
	}
	_, err := fmt.Fprintf(stdout, "clients: %s\n", filepath.Join(*dir, server.MembersFile))
	return err
}

// keygen makes a key.
func keygen(args []string, stdout io.Writer) error {
	flags := newFlags("keygen", "", stdout)
	out := flags.String("out", "", "the `file` to write the private key to (required)")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("keygen: no --out FILE given")
	}
	key, err := crypto.GenerateKey(*out)
	if err != nil {
		return fmt.Errorf("keygen: %w", err)
	}
	_, err = fmt.Fprintln(stdout, crypto.PublicKeyText(crypto.PublicKey(key)))
	return err
}
