//go:build !linux

package machine

import "errors"

// OpenInstructions says that there is no counter here.
func OpenInstructions() error { return errors.New("only known on Linux") }
