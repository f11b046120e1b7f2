package benchsuite

import (
	"os/exec"
	"testing"
)

// TestEveryBenchmarkRunsOnce runs each benchmark of the suite, with the checks
// that it makes, for one operation.
func TestEveryBenchmarkRunsOnce(t *testing.T) {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchtime", "1x", "./micro", "./macro").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
