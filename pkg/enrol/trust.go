package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ServerName is the name in every certificate that a collector's own authority
// makes. The authority is pinned and makes certificates for one collector, so
// the address by which it is reached says nothing.
const ServerName = "collector.flopwatch.internal"

// ErrAuthority means that the other side is not the collector of the token.
var ErrAuthority = errors.New("the server is not the collector that made the token (its authority is another one)")

// ByHash is the TLS configuration of a client that knows of the authority only
// its hash.
func ByHash(hash [32]byte) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		// Verification is below: the authority comes with the handshake and counts
		// because of its hash.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, c := range s.PeerCertificates[1:] {
				if AuthorityHash(c) == hash {
					return verify(s.PeerCertificates[0], c)
				}
			}
			return ErrAuthority
		},
	}
}

// ByAuthority is the TLS configuration of a client that has the authority's
// certificate.
func ByAuthority(authority *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return &tls.Config{MinVersion: tls.VersionTLS13, ServerName: ServerName, RootCAs: roots}
}

func verify(leaf, authority *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: ServerName})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return nil
}
