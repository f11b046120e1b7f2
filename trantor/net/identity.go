package net

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/perfgate/perfgate/trantor/types"
)

// A certificate is made by the replica itself and good for certificateLife. It
// is made anew when half of that is over, so that a process may run for ever.
// certificateSkew is how far clocks of replicas may be apart.
const (
	certificateLife = 30 * 24 * time.Hour
	certificateSkew = time.Hour
)

// What is wrong with a certificate.
var (
	errStranger  = errors.New("it is no peer")
	errWrongKey  = errors.New("its key is not the peer's")
	errSystem    = errors.New("it belongs to another system")
	errExpired   = errors.New("its certificate is not valid now")
	errMalformed = errors.New("its certificate names no replica")
	errPunished  = errors.New("it is refused for a while")
)

// identity is a replica's own certificate.
type identity struct {
	node   types.NodeID
	system string
	key    ed25519.PrivateKey

	mu      sync.Mutex
	cert    *tls.Certificate
	renewAt time.Time
}

func (id *identity) publicKey() ed25519.PublicKey { return id.key.Public().(ed25519.PublicKey) }

// certificate is one that is good for at least half its life.
func (id *identity) certificate() (*tls.Certificate, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now := time.Now()
	if id.cert != nil && now.Before(id.renewAt) {
		return id.cert, nil
	}
	cert, err := newCertificate(id.key, id.system, id.node, now.Add(-certificateSkew), now.Add(certificateLife))
	if err != nil {
		return nil, err
	}
	id.cert, id.renewAt = cert, now.Add(certificateLife/2)
	return cert, nil
}

// newCertificate signs, with key, that key speaks for a replica of a system.
func newCertificate(key ed25519.PrivateKey, system string, node types.NodeID, from, until time.Time) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			Organization: []string{hex.EncodeToString([]byte(system))},
			CommonName:   strconv.FormatUint(uint64(node), 10),
		},
		NotBefore: from, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// claim is what a certificate says. Whoever completes a handshake with it holds
// its key, so the certificate's own signature proves nothing more and is not
// checked.
type claim struct {
	node types.NodeID
	key  ed25519.PublicKey
}

// readClaim reads the certificate of the other side of a connection.
func readClaim(state tls.ConnectionState, system string, now time.Time) (claim, error) {
	if len(state.PeerCertificates) != 1 {
		return claim{}, fmt.Errorf("%w: %d certificates", errMalformed, len(state.PeerCertificates))
	}
	cert := state.PeerCertificates[0]
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok || len(cert.Subject.Organization) != 1 {
		return claim{}, errMalformed
	}
	node, err := strconv.ParseUint(cert.Subject.CommonName, 10, 32)
	switch {
	case err != nil:
		return claim{}, fmt.Errorf("%w: %w", errMalformed, err)
	case cert.Subject.Organization[0] != hex.EncodeToString([]byte(system)):
		return claim{}, errSystem
	case now.Before(cert.NotBefore) || now.After(cert.NotAfter):
		return claim{}, errExpired
	}
	return claim{node: types.NodeID(node), key: key}, nil
}

// tlsConfig is common to both sides of a connection. A certificate is pinned,
// not chained: verify decides alone.
func (id *identity) tlsConfig(verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.certificate() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return id.certificate()
		},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // No authorities: VerifyConnection compares the key.
		VerifyConnection:       verify,
		SessionTicketsDisabled: true, // Each connection shows its certificate.
	}
}
