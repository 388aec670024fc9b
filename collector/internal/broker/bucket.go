package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// tenancyBytes bounds the bucket of leases: some hundred bytes for each of many
// hosts. What finds no room is heard all the same, and sent again.
const tenancyBytes = 128 << 20

// tenancyBucket makes the key-value bucket of tenancy leases, with one key for each
// host. Its content follows from the database and may be lost.
func tenancyBucket(ctx context.Context, js jetstream.JetStream, maxBytes int64, replicas int) error {
	_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: wire.TenancyBucket, Description: "tenancy leases, signed, by host", History: 1,
		MaxValueSize: MaxMessageBytes, MaxBytes: maxBytes, Storage: jetstream.FileStorage, Replicas: replicas,
	})
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", wire.TenancyBucket, err)
	}
	return nil
}
