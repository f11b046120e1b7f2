package github_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain also sees that no request goes on after its call returned.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
