package mempool

import "github.com/perfgate/perfgate/trantor/types"

// Whose transactions are taken: a client that something is delivered of has a
// place among ClientsMax, in the log and therefore everywhere. Any other one holds
// a place here for as long as something that it submitted here is pending.

// strange tells whether there is no room for a client.
func (m *Mempool) strange(id types.ClientID) bool {
	return m.clients[id] == nil && m.newcomers[id] == 0 && id != types.ConfigClient &&
		m.ordinaryClients()+len(m.newcomers) >= m.cfg.ClientsMax
}

// ordinaryClients is how many clients beside types.ConfigClient something is
// delivered of.
func (m *Mempool) ordinaryClients() int {
	if m.clients[types.ConfigClient] != nil {
		return len(m.clients) - 1
	}
	return len(m.clients)
}

// meet counts a transaction that a client submitted here and that is pending.
func (m *Mempool) meet(id types.ClientID) {
	if m.clients[id] == nil && id != types.ConfigClient {
		m.newcomers[id]++
	}
}

// part is the reverse of meet. A client that something was delivered of meanwhile
// is no newcomer any more.
func (m *Mempool) part(id types.ClientID) {
	switch n := m.newcomers[id]; n {
	case 0:
	case 1:
		delete(m.newcomers, id)
	default:
		m.newcomers[id] = n - 1
	}
}

// meetAgain counts anew, after all that is known of clients has changed.
func (m *Mempool) meetAgain() {
	clear(m.newcomers)
	for id, e := range m.pending { // maprange: counting.
		if e.submitted {
			m.meet(id.Client)
		}
	}
}
