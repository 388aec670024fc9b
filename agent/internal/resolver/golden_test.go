package resolver

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const hosts = "../../../testdata/hosts"

// account is what the agent says about a host, as golden files have it.
type account struct {
	Devices []deviceAccount
	Guests  []guestAccount `json:",omitempty"`
	Fault   string         `json:",omitempty"`
}

type deviceAccount struct {
	Device  measure.DeviceID
	Shares  []string
	Looked  []string `json:",omitempty"` // holders that could not be looked up, and why
	Verdict []string `json:",omitempty"` // on each holder: the selector that decided, or why none did
}

type guestAccount struct {
	PCI, ID string
	Group   int
	State   string
	PIDs    []int  `json:",omitempty"`
	VM      string `json:",omitempty"`
	Shares  []string
}

// A host of each scheduler, from its files to tenants.
func TestHosts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(hosts, "*", "host.txtar"))
	if err != nil || len(files) < 14 {
		t.Fatalf("%d hosts, %v", len(files), err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got := accountOf(t, loadHost(t, dir))
			text, err := json.MarshalIndent(got, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "expected.golden.json"), string(text)+"\n")
		})
	}
}

func accountOf(t *testing.T, h *host) account {
	t.Helper()
	at := h.At.UnixNano()
	prober := probe.New(filepath.Join(h.root, "proc"))
	r := New(Config{Prober: prober, Pods: h.pods, Jobs: h.jobs, Root: h.root, HintLabel: runLabel})
	r.Poll(h.At)
	var a account
	for _, d := range h.Devices {
		subject := tenancy.SubjectOf(h.Name, measure.Device{ID: d.ID, Parent: d.Parent})
		entry := deviceAccount{Device: d.ID}
		if d.Unknown {
			entry.Shares = inWords(t, r.UnknownShares(subject, h.table, at))
			a.Devices = append(a.Devices, entry)
			continue
		}
		var held []tenancy.Process
		for _, holder := range d.Holders {
			if _, err := prober.Lookup(holder.PID); err != nil {
				entry.Looked = append(entry.Looked, strings.ReplaceAll(err.Error(), h.root, ""))
			}
			p := tenancy.Held(subject, r.Process(Holder{PID: holder.PID, StartTicks: holder.StartTicks}, at), holder.SMUtil)
			held = append(held, p)
			entry.Verdict = append(entry.Verdict, verdict(h.table, p.Subject, at))
		}
		entry.Shares = inWords(t, tenancy.Shares(held, h.table, at))
		a.Devices = append(a.Devices, entry)
	}
	found, err := guest.Read(h.root, h.VFIO)
	if err != nil {
		t.Error(err)
	}
	for _, g := range found.Guests {
		subject := tenancy.SubjectOf(h.Name, measure.Device{ID: measure.DeviceID(g.PCI)})
		a.Guests = append(a.Guests, guestAccount{
			PCI: g.PCI, ID: fmt.Sprintf("%04x:%04x", g.Vendor, g.DeviceID), Group: g.Group, State: g.State.String(), PIDs: g.PIDs,
			VM: strings.TrimSpace(g.VMUUID + " " + g.VMName), Shares: inWords(t, r.GuestShares(subject, g, h.table, at)),
		})
	}
	if err := r.Err(); err != nil {
		a.Fault = err.Error()
	}
	return a
}

// inWords writes shares down, and holds that they add up and are printable.
func inWords(t *testing.T, shares []measure.Share) []string {
	t.Helper()
	var words []string
	sum := 0
	for _, s := range shares {
		sum += s.PPM
		text := fmt.Sprintf("%d ppm %s", s.PPM, s.State)
		if s.Workload.Kind != measure.KindNone {
			text += " " + string(s.Workload.Kind) + " " + s.Workload.ID
		}
		if s.Workload.Hint != "" {
			text += " run " + s.Workload.Hint
		}
		if s.Tenant != "" {
			text += " of " + string(s.Tenant)
		}
		for i := range len(text) {
			if text[i] < ' ' || text[i] > '~' {
				t.Errorf("%q holds byte %#x", text, text[i])
			}
		}
		words = append(words, text)
	}
	if sum != tenancy.Whole {
		t.Errorf("%v add up to %d", words, sum)
	}
	return words
}

func verdict(table *tenancy.Table, s tenancy.Subject, at int64) string {
	_, v := table.Tenant(s, at)
	if v.Outcome != tenancy.Leased {
		return v.Outcome.String()
	}
	return fmt.Sprintf("%s %s", v.Lease.Selector.Kind, v.Lease.Selector.Value)
}

// golden compares with a file; UPDATE=1 writes it anew.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, path)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Every kind of selector decides on some host.
func TestEverySelectorDecides(t *testing.T) {
	kinds := []tenancy.Kind{
		tenancy.Host, tenancy.Device, tenancy.MIG, tenancy.UID, tenancy.Namespace, tenancy.SlurmAccount, tenancy.CgroupPrefix,
		tenancy.Unit, tenancy.VM, tenancy.SlurmJob, tenancy.PodUID, tenancy.Container,
	}
	seen := map[tenancy.Kind]bool{}
	files, err := filepath.Glob(filepath.Join(hosts, "*", "host.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		h := loadHost(t, dir)
		at := h.At.UnixNano()
		r := New(Config{Prober: probe.New(filepath.Join(h.root, "proc")), Pods: h.pods, Jobs: h.jobs, Root: h.root})
		r.Poll(h.At)
		found, err := guest.Read(h.root, h.VFIO)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, g := range found.Guests {
			pids = append(pids, g.PIDs...)
		}
		for _, d := range h.Devices {
			for _, holder := range d.Holders {
				pids = append(pids, holder.PID)
			}
			subject := tenancy.SubjectOf(h.Name, measure.Device{ID: d.ID, Parent: d.Parent})
			for _, pid := range pids {
				p := tenancy.Held(subject, r.Process(Holder{PID: pid}, at), math.NaN())
				if _, v := h.table.Tenant(p.Subject, at); v.Outcome == tenancy.Leased {
					seen[v.Lease.Selector.Kind] = true
				}
			}
		}
	}
	for _, kind := range kinds {
		if !seen[kind] {
			t.Errorf("no host shows that %s decides", kind)
		}
	}
}
