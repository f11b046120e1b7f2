package mir

import "fmt"

// Names interns module names while a node is wired.
type Names struct {
	byID []string
}

// Intern gives name its ModuleID; the same name gets the same ID again.
// It panics beyond 65,535 modules, which is a wiring error.
func (n *Names) Intern(name string) ModuleID {
	for i, have := range n.byID {
		if have == name {
			return ModuleID(i + 1)
		}
	}
	if len(n.byID) == 1<<16-1 {
		panic("mir: more than 65535 modules in one node")
	}
	n.byID = append(n.byID, name)
	return ModuleID(len(n.byID))
}

// Name is the reverse of Intern.
func (n *Names) Name(id ModuleID) string {
	if id == 0 || int(id) > len(n.byID) {
		return fmt.Sprintf("module(%d)", id)
	}
	return n.byID[id-1]
}

// Len is the number of interned names; IDs run from 1 to Len.
func (n *Names) Len() int { return len(n.byID) }
