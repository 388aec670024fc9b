package broker

import (
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/settings"
)

// TellSettings sends a host its signed settings. Who is not connected does not
// hear them, and is told again by whoever sees that it reports others.
func (b *Broker) TellSettings(host string, envelope []byte) error {
	if err := b.conn.Publish(settings.Subject(host), envelope); err != nil {
		return fmt.Errorf("tell host %s its settings: %w", host, err)
	}
	return nil
}
