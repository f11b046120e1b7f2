package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perfgate/perfgate/trantor/server"
)

// askTimeout bounds one question to a replica.
const askTimeout = 15 * time.Second

// status shows what a replica says of itself.
func status(args []string, stdout io.Writer) error {
	flags := newFlags("status", "", stdout)
	config := flags.String("config", "", "the replica's configuration `file`, on its machine")
	addr := flags.String("admin", "", "its administrator's `address`, host:port, instead")
	wait := flags.Duration("wait", 0, "wait so long for it to be ready")
	hash := flags.Bool("hash", false, "with a digest of the application's state, which takes time where that is large")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	if (*config == "") == (*addr == "") {
		return errors.New("status: want --config FILE or --admin ADDRESS")
	}
	if *config != "" {
		cfg, err := server.Load(*config)
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		if *addr = cfg.Listen.Admin; *addr == "" {
			return fmt.Errorf("status: %s: the replica has no administrator's address (listen.admin)", *config)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout+*wait)
	defer cancel()
	if *wait > 0 {
		waitCtx, cancelWait := context.WithTimeout(ctx, *wait)
		defer cancelWait()
		if err := server.WaitReady(waitCtx, *addr); err != nil {
			return exitError{exitUnavailable, fmt.Errorf("status: %w", err)}
		}
	}
	s, err := server.AskStatus(ctx, *addr, *hash)
	if err != nil {
		return exitError{exitUnavailable, fmt.Errorf("status: %w", err)}
	}
	out := json.NewEncoder(stdout)
	out.SetIndent("", "  ")
	return out.Encode(s)
}
