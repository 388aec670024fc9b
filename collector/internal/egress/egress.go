// Package egress decides which addresses the collector may call for somebody else's
// text: public ones, and private networks that the operator names. It looks at the
// address that is dialled, after the name was resolved, so that a name which leads
// elsewhere then than it did before gains nothing.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// ErrNotAllowed means that an address is one that must not be asked.
var ErrNotAllowed = errors.New("the address is not a public one, and in no network that was named")

// errPlain means that something would cross a network in clear.
var errPlain = errors.New("the address is not https://host")

// global is all that is public of IPv6 so far. Outside of it are forms of IPv4 addresses,
// such as ::127.0.0.1, beside others.
var global = netip.MustParsePrefix("2000::/3")

// special are networks that are no public ones, besides those that netip names.
var special = func() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"} {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}()

// Check refuses an address, as ip:port, that is neither public nor in one of the networks.
func Check(address string, networks []netip.Prefix) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial: %w", ErrNotAllowed)
	}
	ip := at.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return nil
		}
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback() || ip.Is6() && !global.Contains(ip) {
		return fmt.Errorf("dial: %w", ErrNotAllowed)
	}
	for _, n := range special {
		if n.Contains(ip) {
			return fmt.Errorf("dial: %w", ErrNotAllowed)
		}
	}
	return nil
}

// ParseNetworks reads networks such as 10.1.2.0/24.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("network %.60q: must be like 10.1.2.0/24", text)
		}
		out = append(out, n)
	}
	return out, nil
}

// ReadRoots returns the authorities of a file, nil for those of the system.
func ReadRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// Transport returns a transport that calls allowed addresses alone, directly and over
// TLS of 1.2 or later, with the authorities of roots, or the system's for nil.
func Transport(networks []netip.Prefix, roots *x509.CertPool, dial, answer time.Duration) *http.Transport {
	dialer := net.Dialer{Timeout: dial, Control: func(_, address string, _ syscall.RawConn) error { return Check(address, networks) }}
	return &http.Transport{DialContext: dialer.DialContext, Proxy: nil, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dial, ResponseHeaderTimeout: answer, DisableKeepAlives: true, ForceAttemptHTTP2: true}
}

// Client returns a client over such a transport that takes https alone, follows no
// redirect and reads no more of an answer than most bytes.
func Client(t *http.Transport, timeout time.Duration, most int64) *http.Client {
	return &http.Client{Timeout: timeout, Transport: strict{t, most}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type strict struct {
	next http.RoundTripper
	most int64
}

func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil {
		return nil, errPlain
	}
	answer, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = bounded{io.LimitReader(answer.Body, s.most), answer.Body}
	return answer, nil
}

type bounded struct {
	io.Reader
	io.Closer
}
