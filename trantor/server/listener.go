package server

import (
	"net"
	"sync"
)

// listener closes what comes beyond a number of open connections, in all and from
// one host, so that a client tries another replica at once.
type listener struct {
	net.Listener
	max        int
	ofHostsMax int

	mu      sync.Mutex
	open    int
	ofHosts map[string]int // Of open, by address without port.
	turned  uint64
}

func newListener(l net.Listener, max, ofHostsMax int) *listener {
	return &listener{Listener: l, max: max, ofHostsMax: ofHostsMax, ofHosts: map[string]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err != nil {
			host = conn.RemoteAddr().String()
		}
		if l.enter(host) {
			return &countedConn{Conn: conn, listener: l, host: host}, nil
		}
		_ = conn.Close() // A stranger's.
	}
}

func (l *listener) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == l.max || l.ofHosts[host] == l.ofHostsMax {
		l.turned++
		return false
	}
	l.open++
	l.ofHosts[host]++
	return true
}

func (l *listener) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.ofHosts[host]--
	if l.ofHosts[host] == 0 {
		delete(l.ofHosts, host)
	}
}

// counts are the open connections, and how many were turned away.
func (l *listener) counts() (open int, turned uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.turned
}

// countedConn leaves its listener's count when it is closed, once.
type countedConn struct {
	net.Conn
	listener *listener
	host     string
	once     sync.Once
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.listener.leave(c.host) })
	return c.Conn.Close()
}
