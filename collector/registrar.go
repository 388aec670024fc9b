package collector

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/roster"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// registrar lets people keep the inventory through the API.
type registrar struct {
	roster *roster.Roster
	server string // where hosts enrol, host:port
}

// Inventory returns all hosts.
func (g registrar) Inventory(context.Context) ([]apitypes.InventoryHost, error) {
	return apitypes.Each(g.roster.Hosts(), inventoryHostOf), nil
}

// Invite makes a join token.
func (g registrar) Invite(ctx context.Context, in apitypes.Invitation) (apitypes.Invited, error) {
	ask := roster.Invitation{Host: ledger.HostID(in.Host), Name: in.Name, Site: in.Site, Administered: inventory.Administered(in.Administered), Network: in.Network, Life: time.Duration(in.Seconds) * time.Second}
	for _, d := range in.Devices {
		devices := inventory.Devices{Model: d.Model, Count: d.Count}
		for _, id := range d.IDs {
			devices.IDs = append(devices.IDs, measure.DeviceID(id))
		}
		ask.Devices = append(ask.Devices, devices)
	}
	token, h, err := g.roster.Invite(ctx, ask)
	if err != nil {
		return apitypes.Invited{}, refusedHost(err)
	}
	return apitypes.Invited{Host: inventoryHostOf(h), Token: token.Secret(), Expires: apitypes.Time(h.Invitation.ExpiresNS), Server: g.server}, nil
}

// DecideHost clears, revokes or retires a host.
func (g registrar) DecideHost(ctx context.Context, host string, d apitypes.HostDecision) (apitypes.InventoryHost, error) {
	h, err := g.roster.Decide(ctx, ledger.HostID(host), inventory.Act(d.Act), d.Reason)
	if err != nil {
		return apitypes.InventoryHost{}, refusedHost(err)
	}
	return inventoryHostOf(h), nil
}

// refusedHost says what was understood and not done.
func refusedHost(err error) error {
	switch {
	case errors.Is(err, roster.ErrNoHost):
		return refuse(http.StatusNotFound, roster.ErrNoHost)
	case errors.Is(err, roster.ErrInvitation):
		return refuse(http.StatusUnprocessableEntity, err)
	case errors.Is(err, inventory.ErrRefused):
		return refuse(http.StatusConflict, err)
	}
	return err
}

func inventoryHostOf(h inventory.Host) apitypes.InventoryHost {
	out := apitypes.InventoryHost{ID: string(h.ID), Name: h.Name, Site: h.Site, State: string(h.State), Administered: cmp.Or(string(h.Administered), string(inventory.ByProvider)), Suspicion: h.Suspicion,
		Changed: apitypes.Time(h.ChangedNS), Devices: []apitypes.ExpectedDevices{}, Keys: []apitypes.HostKey{}}
	if h.Invitation != nil {
		out.TokenUntil = apitypes.Time(h.Invitation.ExpiresNS)
	}
	for _, d := range h.Devices {
		devices := apitypes.ExpectedDevices{Model: d.Model, Count: d.Count}
		for _, id := range d.IDs {
			devices.IDs = append(devices.IDs, string(id))
		}
		out.Devices = append(out.Devices, devices)
	}
	for _, k := range h.Keys {
		key := apitypes.HostKey{Signing: base64.StdEncoding.EncodeToString(k.Signing), Broker: k.Broker, From: apitypes.Time(k.FromNS)}
		if k.ToNS != 0 {
			key.To = apitypes.Time(k.ToNS)
		}
		out.Keys = append(out.Keys, key)
	}
	return out
}
