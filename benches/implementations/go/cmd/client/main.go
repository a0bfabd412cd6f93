// Command client is the grpc-go implementation of the fanstream client: the same flags, output formats and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"fanstream/implementations/pb"
)

// Exit codes; the flag package exits with 2 for wrong usage.
const (
	exitOK          = 0
	exitUsage       = 2
	exitUnreachable = 3 // UNAVAILABLE before any response
	exitTimedOut    = 4
	exitFailed      = 5 // any other status
)

func main() {
	os.Exit(run(parseFlags()))
}

func run(c config) int {
	channel, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	defer channel.Close()

	out := &printer{format: c.format, quiet: c.quiet}
	began := time.Now()
	tally, err := fetchAll(pb.NewStreamServiceClient(channel), c, out)
	out.finish(tally, time.Since(began), statusName(err))
	if err != nil {
		log.Printf("can not receive: %s: %s", statusName(err), status.Convert(err).Message())
	}
	return exitCode(err, tally)
}

// fetchAll fetches every id at the same time over the one channel. When all have ended it returns the first failure, in
// the order of the ids.
func fetchAll(client pb.StreamServiceClient, c config, out *printer) (tally, error) {
	tallies := make([]tally, len(c.ids))
	failures := make([]error, len(c.ids))
	var calls sync.WaitGroup
	for i, id := range c.ids {
		calls.Go(func() { tallies[i], failures[i] = fetch(client, c, id, out) })
	}
	calls.Wait()

	var all tally
	for _, one := range tallies {
		all.add(one)
	}
	for _, err := range failures {
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func fetch(client pb.StreamServiceClient, c config, id int32, out *printer) (t tally, err error) {
	ctx, cancel := callContext(c.timeout)
	defer cancel() // ends the rest of the call after --take
	began := time.Now()
	stream, err := client.FetchResponse(ctx, &pb.Request{Id: id})
	if err != nil {
		return t, err
	}
	for c.take == 0 || t.responses < c.take {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return t, err
		}
		out.response(id, t.responses, began, response.GetResult())
		t.count(response.GetResult(), began)
	}
	return t, nil
}

// callContext bounds the whole call, not the wait for one message.
func callContext(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), timeout)
}

// statusName is the status as the gRPC specification spells it: DEADLINE_EXCEEDED, where package codes says
// DeadlineExceeded.
func statusName(err error) string {
	return code.Code(status.Code(err)).String()
}

func exitCode(err error, t tally) int {
	switch status.Code(err) {
	case codes.OK:
		return exitOK
	case codes.Unavailable:
		if t.responses == 0 {
			return exitUnreachable
		}
	case codes.DeadlineExceeded:
		return exitTimedOut
	}
	return exitFailed
}
