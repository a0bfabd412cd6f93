package main

import (
	"context"
	"fmt"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// dialOptions returns the options of a channel, as few as the contract allows.
func dialOptions(c config) ([]grpc.DialOption, error) {
	security := insecure.NewCredentials()
	if c.tlsCA != "" {
		var err error
		if security, err = credentials.NewClientTLSFromFile(c.tlsCA, c.serverName); err != nil {
			return nil, fmt.Errorf("--tls-ca %s: %w", c.tlsCA, err)
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt)),
	}
	if c.window > 0 {
		options = append(options,
			grpc.WithInitialWindowSize(int32(c.window)),
			grpc.WithInitialConnWindowSize(int32(perConnection*c.window)))
	}
	return options, nil
}

// connect waits until the channel has connected or failed. It does not report a failure: that is the status of each call
// on the channel.
func connect(channel *grpc.ClientConn) {
	channel.Connect()
	for {
		state := channel.GetState()
		if state != connectivity.Idle && state != connectivity.Connecting {
			return
		}
		channel.WaitForStateChange(context.Background(), state)
	}
}
