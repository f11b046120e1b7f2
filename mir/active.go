package mir

import "errors"

// ErrStopped is what injecting into a node that has stopped returns.
var ErrStopped = errors.New("mir: node has stopped")

// Active is a module that owns goroutines: a timer, a network, a store, a
// pool of workers. Its Apply runs on the node's goroutine, or on that of its
// Lane, like that of any other module and must not block there; work that takes time goes to the module's
// own goroutines and comes back through the Injector.
type Active interface {
	Module
	// Start begins the module's goroutines. It is called once per run of
	// the node, before any event is applied.
	Start(in Injector) error
	// Stop ends the goroutines and returns when they are gone. By then the
	// node applies no more events, and every Inject returns ErrStopped, so
	// a goroutine that waits in Inject does not hold Stop up.
	Stop()
}

// Injector is an active module's way into its node. All methods may be called
// from any goroutine of the module. Inject may block and therefore must not be
// called from Apply, which has its Out for that, nor while holding a lock that
// Apply takes.
type Injector interface {
	// Inject appends events to the node's input, in order. It blocks while
	// the input is above its high-water mark, and takes a batch that does
	// not fit in parts. It returns ErrStopped when the node has stopped.
	// Whoever knows how many bytes an event holds says so by Event.Sized: the
	// input is bounded in bytes too.
	Inject(events ...Event) error
	// HoldClients keeps client input out of the node until a matching
	// ReleaseClients; input of active modules is still taken. Holds are
	// counted. Neither call blocks.
	HoldClients()
	ReleaseClients()
	// Accepts reports whether a peer may address module id: it is
	// registered, and it is not an active module. A network drops and
	// counts what is addressed elsewhere, so that no peer can cause a
	// wiring error.
	Accepts(id ModuleID) bool
	// Fail makes the node's Run stop and return err: the module can not go
	// on. The first error counts. Fail does not block.
	Fail(err error)
}
