package pbft

import (
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

// The timers of an instance: one for sending again, one for a view to be
// entered, and one for each needed slot in the current view.
const (
	tickTimer uint64 = iota
	leavingTimer
	firstSlotTimer
)

// tick is the time to send again.
type tick struct{}

// timeout ends the patience with a view: a slot's, or where slot is negative,
// that of the view to be entered.
type timeout struct {
	view types.View
	slot int
}

func (tick) EventName() string    { return "pbft.Tick" }
func (timeout) EventName() string { return "pbft.Timeout" }

// patienceMax ends the growth of the timeout, which then has grown for as long.
const patienceMax = 24 * time.Hour

// patience is the timeout of the current view.
func (i *Instance) patience() time.Duration {
	doublings := min(i.view, 62)
	if i.cfg.Timeout > patienceMax>>doublings {
		return patienceMax
	}
	return i.cfg.Timeout << doublings
}

func (i *Instance) timerID(n uint64) mir.TimerID {
	return mir.TimerID{Owner: i.cfg.Log, Sub: i.sub, N: n}
}

func (i *Instance) setTimer(n uint64, after time.Duration, fire mir.Body, out *mir.Out) {
	out.Emit(i.cfg.Timer, mir.SetTimer{
		ID: i.timerID(n), After: after, Fire: mir.Event{To: i.cfg.Log, Sub: i.sub, Body: fire},
	})
}

// startTick sees to it that a tick will come.
func (i *Instance) startTick(out *mir.Out) {
	if !i.tickOn {
		i.tickOn = true
		i.setTimer(tickTimer, i.cfg.ResendAfter, tick{}, out)
	}
}

// startSlotTimer gives the current view's leader its time for one slot. What
// becomes of other slots neither shortens nor prolongs it, so that a straggler
// cannot live on one decision after the other.
func (i *Instance) startSlotTimer(s *slot, out *mir.Out) {
	s.timed = true
	i.setTimer(firstSlotTimer+uint64(s.index), i.patience(), timeout{view: i.view, slot: s.index}, out)
}

func (i *Instance) stopSlotTimer(s *slot, out *mir.Out) {
	if s.timed {
		s.timed = false
		out.Emit(i.cfg.Timer, mir.CancelTimer{ID: i.timerID(firstSlotTimer + uint64(s.index))})
	}
}

// startLeavingTimer gives the leader of a view to be entered its time, once a
// quorum has left for it (CL02, section 4.5.2), so that one replica alone does
// not run through the views.
func (i *Instance) startLeavingTimer(out *mir.Out) {
	if i.active || i.leavingOn || i.waiting == 0 || !i.quorumLeft() {
		return
	}
	i.leavingOn = true
	i.setTimer(leavingTimer, i.patience(), timeout{view: i.view, slot: -1}, out)
}

func (i *Instance) stopLeavingTimer(out *mir.Out) {
	if i.leavingOn {
		i.leavingOn = false
		out.Emit(i.cfg.Timer, mir.CancelTimer{ID: i.timerID(leavingTimer)})
	}
}

// stopViewTimers stops all that depend on the view.
func (i *Instance) stopViewTimers(out *mir.Out) {
	i.stopLeavingTimer(out)
	for _, s := range i.slots {
		i.stopSlotTimer(s, out)
	}
}

func (i *Instance) stopTimers(out *mir.Out) {
	i.stopViewTimers(out)
	if i.tickOn {
		i.tickOn = false
		out.Emit(i.cfg.Timer, mir.CancelTimer{ID: i.timerID(tickTimer)})
	}
}

// onTimeout leaves the view. A timer that fired while it was being cancelled, or
// of a view that has passed, says nothing.
func (i *Instance) onTimeout(e timeout, out *mir.Out) {
	on := &i.leavingOn
	if e.slot >= 0 {
		on = &i.slots[e.slot].timed
	}
	if e.view != i.view || !*on {
		return
	}
	*on = false
	i.becomeLeaving(i.view+1, out)
}
