package mir_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
)

// note is the message and event of these tests.
type note string

func (note) EventName() string { return "test.Note" }

// noteCodec refuses notes that begin with '!' when decoding.
type noteCodec struct{}

func (noteCodec) Encode(dst []byte, m mir.Message) ([]byte, error) {
	n, ok := m.(note)
	if !ok {
		return nil, errors.New("not a note")
	}
	return append(dst, n...), nil
}

func (noteCodec) Decode(b []byte) (mir.Message, error) {
	if len(b) > 0 && b[0] == '!' {
		return nil, errors.New("malformed note")
	}
	return note(b), nil
}

// eventually polls for a condition that concurrent work brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// noLeak returns a check that no goroutine outlives the test.
func noLeak(t *testing.T) func() {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// start runs a node and returns what stops it and gives the error of Run.
func start(n *mir.Node) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	return func() error {
		cancel()
		return <-ran
	}
}

func mustNode(t *testing.T, cfg mir.NodeConfig) *mir.Node {
	t.Helper()
	n, err := mir.NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func inject(t *testing.T, n *mir.Node, events ...mir.Event) {
	t.Helper()
	if err := n.Inject(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}
