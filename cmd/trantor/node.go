package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/eventlog"
	"github.com/perfgate/perfgate/trantor/server"
	"github.com/perfgate/perfgate/trantor/types"
)

// untilSignal is a context that ends with the first interrupt or request to
// terminate. The second one then ends the process at once, since nobody handles
// it any more.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// node runs one replica.
func node(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("node", "", stdout)
	config := flags.String("config", "", "the replica's configuration `file` (required)")
	newStore := flags.Bool("new-store", false, "make a store where the data directory has none: only for a replica that never ran")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	if *config == "" {
		return errors.New("node: no --config FILE given; trantor init writes one")
	}
	cfg, err := server.Load(*config)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if *newStore {
		if err := server.NewStore(cfg); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	ctx, stop := untilSignal()
	defer stop()
	s, err := server.New(cfg, serverOptions(stderr))
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return s.Run(ctx)
}

// serverOptions are those of a replica whose log is stderr.
func serverOptions(stderr io.Writer) server.Options {
	return server.Options{
		Logf:   log.New(stderr, "trantor: ", log.LstdFlags|log.Lmicroseconds|log.LUTC).Printf,
		Record: record,
	}
}

// record opens the recording of a replica. A recording is one run; that of the run
// before, which may have ended in what one wants to see, stays as FILE.old.
func record(path string, node types.NodeID, names *mir.Names) (mir.Interceptor, io.Closer, error) {
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	began, out := time.Now(), bufio.NewWriterSize(file, 1<<20)
	recorder, err := eventlog.NewRecorder(eventlog.Config{
		Out: out, Header: eventlog.NewHeader(names), Codec: newTraceCodec(), Clock: func() time.Duration { return time.Since(began) },
	})
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return recorder.Node(node), &recording{recorder: recorder, out: out, file: file}, nil
}

// recording is a recorder with its file.
type recording struct {
	recorder *eventlog.Recorder
	out      *bufio.Writer
	file     *os.File
}

// Close implements io.Closer.
func (r *recording) Close() error {
	return errors.Join(r.recorder.Close(), r.out.Flush(), r.file.Close())
}
