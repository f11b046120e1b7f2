package bcb

import (
	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/mir/dsl"
)

// Window is how many broadcasts of one sender may be under way. It bounds what a
// Byzantine process can make others keep: N senders times Window broadcasts times
// N values of ValueBytesMax.
const Window = 16

// levels of a SubID: the sender, then the number of its broadcast.
var levels = mir.Levels(16, 48)

// Sub addresses a sender's broadcast with a number: Broadcast goes there.
func Sub(sender mir.NodeID, no uint64) mir.SubID {
	return levels[1].Sub(levels[0].Sub(0, uint64(sender)), no)
}

// sender is the broadcasts of one process, by number.
type sender = mir.Group[*dsl.Module]

// Many lets every process broadcast any number of values, numbered from 0. Each
// is a broadcast of its own, with its own instance of the module that New makes:
// Many only creates them, tells them apart and forgets them.
type Many struct{ senders *mir.Group[*sender] }

var _ mir.Module = Many{}

// NewMany makes the module. Sender, Sub and No of cfg are set for each broadcast.
func NewMany(cfg Config) Many {
	return Many{mir.NewGroup(mir.GroupConfig[*sender]{
		Name: "bcb senders", Level: levels[0], Window: uint64(cfg.N),
		New: func(index uint64, sub mir.SubID, _ mir.Event) (*sender, bool) {
			of := cfg
			of.Sender = mir.NodeID(index)
			return newSender(of, sub), true
		},
	})}
}

func newSender(cfg Config, parent mir.SubID) *sender {
	return mir.NewGroup(mir.GroupConfig[*dsl.Module]{
		Name: "bcb broadcasts", Level: levels[1], Parent: parent, Window: Window,
		New: func(no uint64, sub mir.SubID, _ mir.Event) (*dsl.Module, bool) {
			one := cfg
			one.No, one.Sub = no, sub
			return New(one), true
		},
	})
}

// Apply implements mir.Module.
func (m Many) Apply(ev mir.Event, out *mir.Out) { m.senders.Apply(ev, out) }

// Forget ends a sender's broadcasts below a number: whoever uses them knows that
// they are over, or no longer wants them. The sender's next Window numbers can be
// used from then on. It is called between two events.
func (m Many) Forget(from mir.NodeID, below uint64) {
	if s, ok := m.senders.Open(uint64(from), mir.Event{}); ok {
		s.Collect(below, nil)
	}
}

// Under reports how many broadcasts of a sender are kept, and what came for
// others of its broadcasts and was dropped. It may be called between two events.
func (m Many) Under(from mir.NodeID) (kept int, dropped mir.GroupStats) {
	if s, ok := m.senders.Get(uint64(from)); ok {
		return s.Len(), s.Stats()
	}
	return 0, mir.GroupStats{}
}
