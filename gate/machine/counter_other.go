//go:build !linux

package machine

import "errors"

// InstructionsEvent is empty: there is no counter here.
func InstructionsEvent() string { return "" }

// OpenInstructions says that there is no counter here.
func OpenInstructions() error { return errors.New("only known on Linux") }
