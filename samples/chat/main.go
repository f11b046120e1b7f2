// Command chat is a chat room on Trantor: n replicas in one process agree on the
// order of the lines, and each prints what it heard. See the README beside it.
//
// What a chat needs is two things: a deterministic application (the room), which
// every replica runs, and somebody who submits transactions (chat). Order, faults
// and duplicates are Trantor's business.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(2)
	}
}
