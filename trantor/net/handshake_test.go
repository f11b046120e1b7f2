package net

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/perfgate/perfgate/mir"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestOnlyAPeersKeyOpensALink(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	now := time.Now()
	from, until := now.Add(-time.Hour), now.Add(time.Hour)
	tls12 := clientTLS(honestCertificate(t, 1))
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	two := clientTLS(honestCertificate(t, 1))
	two.Certificates[0].Certificate = append(two.Certificates[0].Certificate, two.Certificates[0].Certificate[0])
	for _, c := range []struct {
		name   string
		config *tls.Config
	}{
		{"a stranger", clientTLS(certificate(t, testKey(7), testSystem, 7, from, until))},
		{"a wrong key", clientTLS(certificate(t, testKey(7), testSystem, 1, from, until))},
		{"the receiver itself", clientTLS(honestCertificate(t, 0))},
		{"another's name", clientTLS(certificate(t, testKey(1), testSystem, 0, from, until))},
		{"another system", clientTLS(certificate(t, testKey(1), "another", 1, from, until))},
		{"expired", clientTLS(certificate(t, testKey(1), testSystem, 1, from, now.Add(-time.Minute)))},
		{"not valid yet", clientTLS(certificate(t, testKey(1), testSystem, 1, now.Add(time.Minute), until))},
		{"no certificate", clientTLS(nil)},
		{"two certificates", two},
		{"TLS 1.2", tls12},
		{"another kind of key", clientTLS(ecdsaCertificate(t))},
	} {
		before := r.transport.Stats().Refused
		if _, err := intrude(t, s.members[0].Addr, c.config); err == nil {
			t.Errorf("%s: got a link", c.name)
		}
		eventually(t, c.name+": the refusal to be counted", func() bool { return r.transport.Stats().Refused > before })
	}
	if got, want := r.transport.Stats().LastRefusal, errMalformed.Error(); !strings.Contains(got, want) {
		t.Errorf("the last refusal is %q, want one that says %q", got, want)
	}
	// The same way in, with the right certificate, is open.
	if !intrudeAs(t, s.members[0].Addr, 1).send(frameOf(appID, []byte("hello"))) {
		t.Fatal("the peer was refused")
	}
	eventually(t, "the peer's message", func() bool { return len(r.app.got(1)) == 1 })
}

// ecdsaCertificate claims to be replica 1 with a key that no replica can have.
func ecdsaCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{hex.EncodeToString([]byte(testSystem))}, CommonName: "1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestThereIsNoPlaintext(t *testing.T) {
	s := newSystem(t, 2, nil)
	r := s.replicas[0]
	r.start(mir.NodeConfig{})
	conn, err := net.Dial("tcp", s.members[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// TLS answers with an alert record (type 21), and hangs up.
	answer, err := io.ReadAll(conn)
	if len(answer) > 0 && answer[0] != 21 {
		t.Fatalf("got %q, %v; want an alert or nothing", answer, err)
	}
	eventually(t, "the refusal to be counted", func() bool { return r.transport.Stats().Refused == 1 })
}

func TestASenderSpeaksOnlyWithThePeerItMeans(t *testing.T) {
	for name, change := range map[string]func(*Config){
		// Replica 1 as others know it answers with what belongs to another.
		"another key": func(cfg *Config) {
			cfg.Key = testKey(9)
			cfg.Peers = cfg.Peers[:1:1]
		},
		"another system": func(cfg *Config) { cfg.SystemID = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, 2, func(cfg *Config) {
				if cfg.Node == 1 {
					change(cfg)
				}
			}).start()
			s.replicas[0].send("secret", 1)
			eventually(t, "the refusal", func() bool { return s.replicas[0].peerStats(1).Refused > 0 })
			if s.replicas[0].peerStats(1).Connected || len(s.replicas[1].app.got(0)) > 0 {
				t.Fatal("it was connected all the same")
			}
		})
	}
}

func TestAPeerAtAnothersAddressIsRefused(t *testing.T) {
	s := newSystem(t, 3, nil)
	members := append([]types.Member(nil), s.members...)
	members[1].Addr = members[2].Addr
	if err := s.replicas[0].transport.SetPeers(members); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.replicas[0].send("for replica 1", 1)
	eventually(t, "the refusal", func() bool { return s.replicas[0].peerStats(1).Refused > 0 })
	if s.replicas[0].peerStats(1).Connected || len(s.replicas[2].app.got(0)) > 0 {
		t.Fatal("replica 2 was taken for replica 1")
	}
	// The reason reaches whoever asks.
	eventually(t, "the reason", func() bool {
		return strings.Contains(s.replicas[0].peerStats(1).LastFailure, "replica 2 answers instead")
	})
	s.replicas[0].transport.mustSetPeers(t, s.members)
	s.replicas[0].waitLinked(1)
	if got := s.replicas[0].peerStats(1).LastFailure; got != "" {
		t.Errorf("connected, and the last failure is %q", got)
	}
}

func TestSilentStrangersKeepNoPeerOut(t *testing.T) {
	const most = 4
	s := newSystem(t, 2, func(cfg *Config) {
		cfg.Limits.HandshakesMax = most
		cfg.Limits.ConnectTimeout = time.Hour // Only the bound can help.
	})
	s.replicas[0].start(mir.NodeConfig{})
	for range 3 * most {
		conn, err := net.Dial("tcp", s.members[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, "the oldest to be closed", func() bool { return s.replicas[0].transport.Stats().Refused == 2*most })
	s.replicas[1].start(mir.NodeConfig{})
	s.replicas[1].send("hello", 0)
	eventually(t, "the peer's message", func() bool { return len(s.replicas[0].app.got(1)) == 1 })
}

func TestAPeersNewConnectionReplacesTheOldOne(t *testing.T) {
	s := newSystem(t, 2, nil)
	s.replicas[0].start(mir.NodeConfig{})
	first := intrudeAs(t, s.members[0].Addr, 1)
	second := intrudeAs(t, s.members[0].Addr, 1)
	first.waitEnded()
	if !second.send(frameOf(appID, []byte("second"))) {
		t.Fatal("the new connection was closed")
	}
	eventually(t, "the message on the new connection", func() bool { return len(s.replicas[0].app.got(1)) == 1 })
	if !s.replicas[0].peerStats(1).Receiving {
		t.Error("the end of the old connection made the new one forgotten")
	}
}

func TestAConnectionThatEndsLeavesNothingBehind(t *testing.T) {
	s := newSystem(t, 2, nil)
	s.replicas[0].start(mir.NodeConfig{})
	config := clientTLS(honestCertificate(t, 1))
	config.NextProtos = []string{"h2"}
	for range 20 {
		conn, err := tls.Dial("tcp", s.members[0].Addr, config)
		if err != nil {
			t.Fatal(err)
		}
		// With what was sent unread, closing resets the connection at once.
		if err := conn.NetConn().(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = conn.NetConn().Close()
	}
	d := s.replicas[0].transport.door
	eventually(t, "the door to forget them", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.all)+len(d.pending) == 0
	})
	if s.replicas[0].peerStats(1).Receiving {
		t.Error("the peer is taken for connected")
	}
}

func TestACertificateIsMadeAnewAtHalfItsLife(t *testing.T) {
	id := &identity{node: 1, system: testSystem, key: testKey(1)}
	get := func() *tls.Certificate {
		t.Helper()
		cert, err := id.certificate()
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := get()
	if get() != first {
		t.Fatal("a fresh certificate was not used again")
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if half := leaf.NotAfter.Add(-certificateLife / 2); id.renewAt.Sub(half).Abs() > time.Second {
		t.Fatalf("it is renewed at %v, want %v", id.renewAt, half)
	}
	id.renewAt = time.Now().Add(-time.Second)
	if get() == first {
		t.Fatal("an old certificate was used again")
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	s := &system{t: t}
	for name, edit := range map[string]func(*Config){
		"no module":          func(c *Config) { c.Self = 0 },
		"no system":          func(c *Config) { c.SystemID = "" },
		"no key":             func(c *Config) { c.Key = nil },
		"no codec":           func(c *Config) { c.Codec = nil },
		"max at pause":       func(c *Config) { c.Outbox = mir.OutboxBounds{PauseBytes: 5, MaxBytes: 5} },
		"negative limit":     func(c *Config) { c.Limits.BytesPerSecond = -1 },
		"negative time":      func(c *Config) { c.Limits.HoldMax = -1 },
		"maximum below":      func(c *Config) { c.Limits.BackoffMin, c.Limits.BackoffMax = 2, 1 },
		"a key of 3 bytes":   func(c *Config) { c.Peers = []types.Member{{Node: 1, Weight: 1, Key: []byte("key"), Addr: "a:1"}} },
		"no address":         func(c *Config) { c.Peers = []types.Member{{Node: 1, Weight: 1, Key: publicKey(testKey(1))}} },
		"itself, other key":  func(c *Config) { c.Peers = []types.Member{{Weight: 1, Key: publicKey(testKey(1)), Addr: "a:1"}} },
		"nowhere to listen":  func(c *Config) { c.Listen = "256.0.0.1:0" },
		"two keys, one node": func(c *Config) { c.Peers = twoKeys() },
	} {
		cfg := s.config(0)
		cfg.Listen = "127.0.0.1:0"
		edit(&cfg)
		if transport, err := New(cfg); err == nil {
			t.Errorf("%s: New did not refuse", name)
			transport.Stop()
		}
	}
}

func twoKeys() []types.Member {
	var members []types.Member
	for _, key := range []ed25519.PrivateKey{testKey(1), testKey(2)} {
		members = append(members, types.Member{Node: 1, Weight: 1, Key: publicKey(key), Addr: "127.0.0.1:1"})
	}
	return members
}
