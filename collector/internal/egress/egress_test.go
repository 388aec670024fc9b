package egress

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:4700::1111]:443": true, "10.1.2.3:443": true, "[::ffff:10.1.2.3]:443": true,
		"10.1.3.3:443": false, "127.0.0.1:443": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "169.254.169.254:80": false, "[fe80::1%eth0]:443": false,
		"0.0.0.0:443": false, "[::]:443": false, "100.64.0.1:443": false, "192.168.0.1:443": false, "172.16.0.1:443": false, "[fd00::1]:443": false, "224.0.0.1:443": false,
		"[64:ff9b::7f00:1]:443": false, "[2002:7f00:1::]:443": false, "[2001:db8::1]:443": false, "198.18.0.1:443": false,
		"[::7f00:1]:443": false, "[::a9fe:a9fe]:80": false, "[::ffff:0:7f00:1]:443": false, "[4000::1]:443": false, "[5f00::1]:443": false, "[3fff::1]:443": false, "192.88.99.1:443": false, "255.255.255.255:443": false, "localhost:443": false, "": false,
	} {
		if err := Check(address, own); (err == nil) != want || err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestClientTakesNoDetour(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to" {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	defer elsewhere.Close()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	networks, err := ParseNetworks([]string{"127.0.0.0/8", "::1/128"})
	if err != nil {
		t.Fatal(err)
	}
	transport := Transport(networks, nil, time.Minute, time.Minute)
	transport.TLSClientConfig.RootCAs = elsewhere.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := Client(transport, time.Minute, 100)
	answer, err := c.Get(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(answer.Body)
	if closing := answer.Body.Close(); err != nil || closing != nil || len(data) != 100 {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
	if answer, err := c.Get(elsewhere.URL + "/to"); err != nil || answer.StatusCode != 302 {
		t.Errorf("followed: %v", err)
	} else if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	for _, url := range []string{strings.Replace(elsewhere.URL, "https", "http", 1), "file:///etc/passwd", strings.Replace(elsewhere.URL, "://", "://a:b@", 1)} {
		if answer, err := c.Get(url); err == nil {
			_ = answer.Body.Close()
			t.Errorf("%s is asked", url)
		}
	}
	other := Client(Transport(nil, nil, time.Minute, time.Minute), time.Minute, 100)
	if answer, err := other.Get(elsewhere.URL); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("this machine is asked: %v", err)
		_ = answer.Body.Close()
	}
	if _, err := ParseNetworks([]string{"10.0.0.1"}); err == nil {
		t.Error("an address is taken for a network")
	}
}
