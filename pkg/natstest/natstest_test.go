package natstest_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/natstest"
)

func TestRun(t *testing.T) {
	var url string
	t.Run("broker", func(t *testing.T) {
		url = natstest.Run(t)
		if second := natstest.Run(t); second == url {
			t.Errorf("two brokers share %s", url)
		}
		conn, err := nats.Connect(url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		js, err := conn.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatalf("no JetStream: %v", err)
		}
		if ack, err := js.Publish("s", []byte("x")); err != nil || ack.Sequence != 1 {
			t.Errorf("publish: %+v, %v", ack, err)
		}
	})
	if conn, err := nats.Connect(url, nats.Timeout(time.Second)); err == nil {
		conn.Close()
		t.Error("the broker outlives its test")
	}
}
