package guest

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
)

const (
	maxStatus  = 4 << 20 // bytes of one status file
	maxName    = 1024
	maxHostdev = 256
)

// domain is what is kept of libvirt's status file of a running machine.
type domain struct {
	id   string // number of the run, decimal
	pid  int
	uuid string
	name string
	pci  []string // addresses of devices that are passed through
}

// parseDomain reads a status file of libvirt's QEMU driver. Everything but the
// fields of domain is skipped.
func parseDomain(data []byte) (domain, error) {
	var status struct {
		XMLName xml.Name `xml:"domstatus"`
		PID     string   `xml:"pid,attr"`
		Domain  struct {
			ID      string `xml:"id,attr"`
			Name    string `xml:"name"`
			UUID    string `xml:"uuid"`
			Hostdev []struct {
				Type   string `xml:"type,attr"`
				Source struct {
					Address struct {
						Domain   string `xml:"domain,attr"`
						Bus      string `xml:"bus,attr"`
						Slot     string `xml:"slot,attr"`
						Function string `xml:"function,attr"`
					} `xml:"address"`
				} `xml:"source"`
			} `xml:"devices>hostdev"`
		} `xml:"domain"`
	}
	if err := xml.Unmarshal(data, &status); err != nil {
		return domain{}, err
	}
	d := domain{id: status.Domain.ID, name: status.Domain.Name}
	var err error
	if d.pid, err = strconv.Atoi(status.PID); err != nil || d.pid <= 0 {
		return domain{}, fmt.Errorf("process id %.20q", status.PID)
	}
	if n, err := strconv.ParseUint(d.id, 10, 31); err != nil || strconv.FormatUint(n, 10) != d.id {
		return domain{}, fmt.Errorf("id %.20q of the run", d.id)
	}
	var ok bool
	if d.uuid, ok = probe.ParseUUID(strings.TrimSpace(status.Domain.UUID)); !ok {
		return domain{}, fmt.Errorf("UUID %.40q", status.Domain.UUID)
	}
	if d.name == "" || len(d.name) > maxName {
		return domain{}, fmt.Errorf("name of %d bytes", len(d.name))
	}
	for _, h := range status.Domain.Hostdev[:min(len(status.Domain.Hostdev), maxHostdev)] {
		a := h.Source.Address
		if pci, ok := pciAddress(a.Domain, a.Bus, a.Slot, a.Function); h.Type == "pci" && ok {
			d.pci = append(d.pci, pci)
		}
	}
	return d, nil
}

// pciAddress joins the parts of an address as sysfs does.
func pciAddress(segment, bus, slot, function string) (string, bool) {
	var n [4]uint64
	for i, part := range []struct {
		text string
		bits int
	}{{segment, 32}, {bus, 8}, {slot, 5}, {function, 3}} {
		digits, ok := strings.CutPrefix(part.text, "0x")
		value, err := strconv.ParseUint(digits, 16, part.bits)
		if !ok || err != nil {
			return "", false
		}
		n[i] = value
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", n[0], n[1], n[2], n[3]), true
}
