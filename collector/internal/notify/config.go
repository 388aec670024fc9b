package notify

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/notice"
	"github.com/flopwatch/flopwatch/pkg/config"
)

// Config says whom to tell, and where.
type Config struct {
	Desk     string    `yaml:"desk"` // address of the desk for links, "" for none
	Mail     []Mail    `yaml:"mail"`
	Webhooks []Webhook `yaml:"webhooks"`
}

// Mail is a channel by e-mail.
type Mail struct {
	Name         string   `yaml:"name"`
	Server       string   `yaml:"server"` // host:port
	TLS          string   `yaml:"tls"`    // starttls if empty; tls; none to this machine only
	CAFile       string   `yaml:"ca_file"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	From         string   `yaml:"from"`
	To           []string `yaml:"to"`
	Kinds        []string `yaml:"kinds"` // all if empty
}

// Webhook is a channel by HTTPS.
type Webhook struct {
	Name       string   `yaml:"name"`
	URL        string   `yaml:"url"` // it may hold a secret, so it is never shown
	SecretFile string   `yaml:"secret_file"`
	CAFile     string   `yaml:"ca_file"`
	Networks   []string `yaml:"networks"` // private networks in which it may be, such as 10.1.2.0/24
	Kinds      []string `yaml:"kinds"`
}

// ReadConfig reads a file of channels. Faults name file, line and key.
func ReadConfig(name string, data []byte) (Config, error) {
	var c Config
	if err := config.Decode(name, data, &c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Validate checks what the types do not.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Desk != "" && !isHTTPS(c.Desk) {
		fault("desk: must be https://host")
	}
	seen := map[string]bool{}
	common := func(key, name string, kinds []string) {
		if name == "" || seen[name] {
			fault("%s.name: is empty or there twice", key)
		}
		seen[name] = true
		for _, k := range kinds {
			if !slices.Contains(notice.Kinds, k) {
				fault("%s.kinds: %.40q is none", key, k)
			}
		}
	}
	for i, m := range c.Mail {
		key := fmt.Sprintf("mail[%d]", i)
		common(key, m.Name, m.Kinds)
		host, _, err := net.SplitHostPort(m.Server)
		if err != nil || host == "" {
			fault("%s.server: must be host:port", key)
		}
		at, err := netip.ParseAddr(host)
		if !slices.Contains([]string{"", "starttls", "tls", "none"}, m.TLS) || m.TLS == "none" && (err != nil || !at.IsLoopback()) {
			fault("%s.tls: must be starttls or tls; none only to 127.0.0.1 or [::1]", key)
		}
		if (m.User == "") != (m.PasswordFile == "") {
			fault("%s.password_file: user and password go together", key)
		}
		for _, address := range append([]string{m.From}, m.To...) {
			if _, err := mail.ParseAddress(address); err != nil {
				fault("%s.to: from and to must be addresses, at least one each", key)
				break
			}
		}
		if len(m.To) == 0 {
			fault("%s.to: nobody is named", key)
		}
	}
	for i, w := range c.Webhooks {
		key := fmt.Sprintf("webhooks[%d]", i)
		common(key, w.Name, w.Kinds)
		if !isHTTPS(w.URL) {
			fault("%s.url: must be https://host", key)
		}
		if w.SecretFile == "" {
			fault("%s.secret_file: is empty", key)
		}
		for _, n := range w.Networks {
			if _, err := netip.ParsePrefix(n); err != nil {
				fault("%s.networks: must be like 10.1.2.0/24", key)
			}
		}
	}
	return errors.Join(faults...)
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

// Names returns the names of the channels.
func (c Config) Names() []string {
	var out []string
	for _, m := range c.Mail {
		out = append(out, m.Name)
	}
	for _, w := range c.Webhooks {
		out = append(out, w.Name)
	}
	return out
}
