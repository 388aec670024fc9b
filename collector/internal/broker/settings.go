package broker

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/settings"
)

// TellSettings sends a host its signed settings over the broker. Who is not
// connected does not hear them, and is told again by whoever sees that it reports
// others.
func TellSettings(conn *nats.Conn, host string, envelope []byte) error {
	if err := conn.Publish(settings.Subject(host), envelope); err != nil {
		return fmt.Errorf("tell host %s its settings: %w", host, err)
	}
	return nil
}
