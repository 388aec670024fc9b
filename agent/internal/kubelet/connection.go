package kubelet

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// maxMessage is the largest answer that is taken, which is also what the
	// kubelet itself takes from a runtime.
	maxMessage = 16 << 20
	maxHeaders = 64 << 10
)

// connect prepares calls to a socket. Every refresh connects anew: it costs next
// to nothing on a local socket, and a server that was restarted is found at once.
func connect(path string) (*grpc.ClientConn, error) {
	var dialer net.Dialer
	conn, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithAuthority("localhost"), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	return conn, nil
}
