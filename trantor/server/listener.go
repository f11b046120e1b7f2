package server

import (
	"net"
	"sync"
)

// listener closes what comes beyond a number of open connections, so that a
// client tries another replica at once.
type listener struct {
	net.Listener
	max int

	mu     sync.Mutex
	open   int
	turned uint64
}

func newListener(l net.Listener, max int) *listener { return &listener{Listener: l, max: max} }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.enter() {
			return &countedConn{Conn: conn, listener: l}, nil
		}
		_ = conn.Close() // A stranger's.
	}
}

func (l *listener) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == l.max {
		l.turned++
		return false
	}
	l.open++
	return true
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
	once     sync.Once
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.listener.open--
	})
	return c.Conn.Close()
}
