package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"google.golang.org/grpc"
)

// The one method of the service: a stream in both directions.
const (
	Service = "trantor.Client"
	Method  = "/" + Service + "/Submit"
)

// Stream describes the method to either side.
var Stream = grpc.StreamDesc{StreamName: "Submit", ServerStreams: true, ClientStreams: true}

// Description is the service with its handler.
func Description(handle func(grpc.ServerStream) error) *grpc.ServiceDesc {
	stream := Stream
	stream.Handler = func(_ any, s grpc.ServerStream) error { return handle(s) }
	return &grpc.ServiceDesc{ServiceName: Service, Streams: []grpc.StreamDesc{stream}}
}

// Codec hands messages through as bytes: SendMsg and RecvMsg take a *[]byte.
type Codec struct{}

// Marshal implements encoding.Codec.
func (Codec) Marshal(v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("sending a %T: a message is a *[]byte", v)
	}
	return *b, nil
}

// Unmarshal implements encoding.Codec.
func (Codec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("receiving a %T: a message is a *[]byte", v)
	}
	*b = bytes.Clone(data) // data goes back to gRPC's pool.
	return nil
}

// Name implements encoding.Codec.
func (Codec) Name() string { return "trantor-raw" }

// ServerTLS are the terms of a replica with this key.
func ServerTLS(key ed25519.PrivateKey) (*tls.Config, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "trantor replica"},
		// The key alone counts, and it does not expire (RFC 5280, section 4.1.2.5).
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate for clients: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

// ErrWrongKey says that whoever answered at a replica's address is not it.
var ErrWrongKey = errors.New("the server's key is not the replica's")

// ClientTLS are the terms of a client that wants to reach the replica with this
// key and nobody else.
func ClientTLS(key ed25519.PublicKey) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Names and authorities mean nothing here: VerifyConnection compares
		// the key, and the handshake proves that the server holds it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) != 1 {
				return fmt.Errorf("%w: %d certificates", ErrWrongKey, len(state.PeerCertificates))
			}
			if got, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok || !got.Equal(key) {
				return ErrWrongKey
			}
			return nil
		},
	}
}
