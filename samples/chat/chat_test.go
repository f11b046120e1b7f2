package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// Two lines come from the standard input; the second is said when all have heard
// the first.
func Example() {
	if err := run([]string{"-n", "4"}, strings.NewReader("alice: hello\nbob: hello alice\n"), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// replica 0 | 1  alice: hello
	// replica 1 | 1  alice: hello
	// replica 2 | 1  alice: hello
	// replica 3 | 1  alice: hello
	// replica 0 | 2  bob: hello alice
	// replica 1 | 2  bob: hello alice
	// replica 2 | 2  bob: hello alice
	// replica 3 | 2  bob: hello alice
}

func TestLinesThatAreSaidAtOnceAreHeardInOneOrderByAll(t *testing.T) {
	const n, lines = 4, 50
	args := []string{"-n", fmt.Sprint(n)}
	for i := range lines {
		args = append(args, fmt.Sprint("line ", i))
	}
	var out bytes.Buffer
	if err := run(args, nil, &out); err != nil {
		t.Fatal(err)
	}
	heard := map[string][]string{}
	for line := range strings.Lines(out.String()) {
		replica, said, _ := strings.Cut(line, " | ")
		heard[replica] = append(heard[replica], said)
	}
	first := heard["replica 0"]
	if len(heard) != n || len(first) != lines {
		t.Fatalf("%d replicas heard, the first of them %d lines; want %d and %d", len(heard), len(first), n, lines)
	}
	for replica, said := range heard {
		if strings.Join(said, "") != strings.Join(first, "") {
			t.Errorf("%s heard\n%s and replica 0 heard\n%s", replica, said, first)
		}
	}
}

func TestARoomIsRestoredFromItsSnapshotAndForgetsOldLines(t *testing.T) {
	var from, to room
	for i := range historyMax + 3 {
		from.Apply(types.Tx{Payload: fmt.Append(nil, "line ", i)})
	}
	if err := to.Restore(from.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if to.Hash() != from.Hash() || len(to.lines) != historyMax || to.lines[0] != "line 3" {
		t.Errorf("restored %d lines from %q on", len(to.lines), to.lines[0])
	}
	before := to.Hash()
	for _, bad := range [][]byte{nil, {0x80}, {1, 5, 'a'}, bytes.Repeat([]byte{0}, historyMax+2)} {
		if err := to.Restore(bad); err == nil || to.Hash() != before {
			t.Errorf("snapshot %x: error %v, want one and the room unchanged", bad, err)
		}
	}
}

func TestWrongUseIsAnError(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-n", fmt.Sprint(replicasMax + 1)}} {
		if err := run(args, strings.NewReader(""), &bytes.Buffer{}); err == nil {
			t.Errorf("chat %v succeeded", args)
		}
	}
}
