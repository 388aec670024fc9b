package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/egress"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/config"
)

// Config says who the identity provider is, and what its groups may do here.
type Config struct {
	Name        string   `yaml:"name"`         // on the page, such as Example Ltd
	Issuer      string   `yaml:"issuer"`       // exactly as the provider names itself
	ClientID    string   `yaml:"client_id"`    // this desk, to the provider
	SecretFile  string   `yaml:"secret_file"`  // of the client; "" for a public one
	Scopes      []string `yaml:"scopes"`       // besides openid; profile if empty
	LoginClaim  string   `yaml:"login_claim"`  // preferred_username if empty
	GroupsClaim string   `yaml:"groups_claim"` // groups if empty
	Groups      []Group  `yaml:"groups"`
	Algorithms  []string `yaml:"algorithms"` // of signatures; RS256, PS256 and ES256 if empty
	CAFile      string   `yaml:"ca_file"`    // authorities of the provider's certificate; the system's if empty
	Networks    []string `yaml:"networks"`   // private networks in which it may be, such as 10.1.2.0/24
	StrongACR   []string `yaml:"strong_acr"` // values of acr that mean a second factor
	StrongAMR   []string `yaml:"strong_amr"` // values of amr that mean a second factor, such as mfa
}

// Group is what the people of a group of the provider may do here.
type Group struct {
	Group string   `yaml:"group"`
	Roles []string `yaml:"roles"`
}

// signatures are the algorithms that can be asked for: a key of the provider alone
// makes them. None and HMAC are not among them.
var signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Read reads a file of an identity provider. Faults name file, line and key.
func Read(name string, data []byte) (Config, error) {
	var c Config
	if err := config.Decode(name, data, &c); err != nil {
		return Config{}, err
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "PS256", "ES256"}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile"}
	}
	if c.LoginClaim == "" {
		c.LoginClaim = "preferred_username"
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	return c, nil
}

// Validate checks what the types do not.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Name == "" || len(c.Name) > 60 {
		fault("name: must have 1 to 60 bytes")
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		fault("issuer: must be https://host, as the provider names itself")
	}
	if c.ClientID == "" {
		fault("client_id: is empty")
	}
	if len(c.Groups) == 0 {
		fault("groups: no group has a role, so nobody could sign in")
	}
	for i, g := range c.Groups {
		if g.Group == "" || len(g.Roles) == 0 {
			fault("groups[%d]: a group without a name or without roles", i)
		}
		if _, err := permission.ParseRoles(g.Roles); err != nil {
			fault("groups[%d]: %w", i, err)
		}
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(signatures, a) {
			fault("algorithms: each must be one of %s", strings.Join(signatures, ", "))
			break
		}
	}
	if _, err := egress.ParseNetworks(c.Networks); err != nil {
		fault("networks: %w", err)
	}
	return errors.Join(faults...)
}

// rolesOf are the roles of somebody in groups.
func (c Config) rolesOf(groups []string) []permission.Role {
	var names []string
	for _, g := range c.Groups {
		if slices.Contains(groups, g.Group) {
			names = append(names, g.Roles...)
		}
	}
	roles, err := permission.ParseRoles(names)
	if err != nil {
		return nil // Validate has seen every name
	}
	return roles
}
