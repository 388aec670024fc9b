package apitypes

import "time"

// InventoryHost is a host that belongs to the fleet, whether it reports or not.
type InventoryHost struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Site         string            `json:"site"`
	State        string            `json:"state" doc:"invited, enrolled, revoked or retired"`
	Administered string            `json:"administered" doc:"Who is root on it: provider or tenant"`
	Suspicion    string            `json:"suspicion,omitempty" doc:"Why it is locked until a person decides"`
	Devices      []ExpectedDevices `json:"devices"`
	Keys         []HostKey         `json:"keys" doc:"Oldest first, also those that ended"`
	TokenUntil   time.Time         `json:"token_until,omitzero" doc:"A join token is out until then"`
	Changed      time.Time         `json:"changed"`
}

// ExpectedDevices are devices of one model that a host should report.
type ExpectedDevices struct {
	Model string   `json:"model,omitempty" maxLength:"256"`
	Count int      `json:"count" minimum:"1" maximum:"64"`
	IDs   []string `json:"ids,omitempty" maxItems:"64"`
}

// HostKey is a pair of public keys of a host, and when it counts.
type HostKey struct {
	Signing string    `json:"signing" doc:"Of batches, Ed25519, base64"`
	Broker  string    `json:"broker" doc:"Of the connection, nkey"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"`
}

// Invitation asks for a join token, for a new host or for a known one.
type Invitation struct {
	Host         string            `json:"host,omitempty" pattern:"^[a-z2-7]{26}$" doc:"A known host that enrols anew; none makes a new one"`
	Name         string            `json:"name,omitempty" maxLength:"256"`
	Site         string            `json:"site,omitempty" maxLength:"256"`
	Administered string            `json:"administered,omitempty" enum:"provider,tenant" doc:"Who is root on it; none is the provider, or what was said before"`
	Devices      []ExpectedDevices `json:"devices,omitempty" maxItems:"64"`
	Network      string            `json:"network,omitempty" maxLength:"64" doc:"CIDR from which the token may be used; none is any"`
	Seconds      int64             `json:"seconds,omitempty" minimum:"60" maximum:"86400" doc:"How long the token may be used; none is one hour"`
}

// Invited is a host and the token with which it enrols, which is shown once.
type Invited struct {
	Host    InventoryHost `json:"host"`
	Token   string        `json:"token"`
	Expires time.Time     `json:"expires"`
	Server  string        `json:"server" doc:"Where the host enrols; without a host name where the collector listens on every address"`
}

// HostDecision is what a person decides on a host.
type HostDecision struct {
	Act    string `json:"act" enum:"clear,revoke,retire"`
	Reason string `json:"reason" minLength:"1" maxLength:"256"`
}
