package cluster

import (
	"os/exec"
	"syscall"
	"testing"
)

// TestARunThatHasEndedIsNotSignalled: the number of its process may be that of
// somebody else's group by now, as it is here.
func TestARunThatHasEndedIsNotSignalled(t *testing.T) {
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	run := &process{cmd: other, done: make(chan struct{})}
	close(run.done)
	if err := run.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	run.done = make(chan struct{})
	if err := run.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = other.Wait() // It says how it ended, as the state does.
	if got := other.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGKILL {
		t.Errorf("it ended by %v, want only the signal to a run that had not ended", got)
	}
}

func TestNothingIsRestartedThatWasNotKilledOrAfterStop(t *testing.T) {
	c, err := New(Config{Weights: Equal(1)})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	if err := c.Restart(0); err == nil {
		t.Error("a replica that runs is started again")
	}
	if err := c.Kill(0); err != nil {
		t.Error(err)
	}
	if err := c.Restart(0); err != nil {
		t.Error(err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := c.Restart(0); err == nil {
		t.Error("a replica is started after the end")
	}
}

// TestOthersAnswerWhileOneEnds: a replica that takes its time to close holds
// nobody up who asks another one.
func TestOthersAnswerWhileOneEnds(t *testing.T) {
	c, err := New(Config{Weights: Equal(4)})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	c.members[0].closing.Lock()
	killed := make(chan error, 1)
	go func() { killed <- c.Kill(0) }()
	<-c.members[0].done
	if _, err := c.Counters(1); err != nil {
		t.Error(err)
	}
	if err := c.Restart(1); err == nil {
		t.Error("a replica that runs is started again")
	}
	c.members[0].closing.Unlock()
	if err := <-killed; err != nil {
		t.Error(err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}
