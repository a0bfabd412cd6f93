package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"fanstream/implementations/pb"
)

// streamer answers each request with responses results, the k-th of them k times step after the request.
type streamer struct {
	pb.UnimplementedStreamServiceServer
	config
	padding string // size bytes, to pad every result from
}

type responseStream = grpc.ServerStreamingServer[pb.Response]

// FetchResponse sends from the call's own goroutine, which waits until each response is due. A goroutine for each response
// would gain nothing and cost every call their stacks and timers.
func (s *streamer) FetchResponse(request *pb.Request, stream responseStream) error {
	if s.verbose() {
		log.Printf("fetch response for id : %d", request.GetId())
	}
	began := time.Now()
	for k := range s.responses {
		if due := time.Duration(k) * s.step; due > 0 {
			if err := sleep(stream.Context(), due-time.Since(began)); err != nil {
				return err
			}
		}
		if err := s.send(stream, request.GetId(), k); err != nil {
			return err
		}
	}
	return nil
}

// sleep ends early, with the reason, if the call ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *streamer) send(stream responseStream, id int32, k int) error {
	if err := stream.Send(&pb.Response{Result: s.result(id, k)}); err != nil {
		return err
	}
	if s.verbose() {
		log.Printf("finishing request number : %d", k)
	}
	return nil
}

func (s *streamer) result(id int32, k int) string {
	text := "Request #" + strconv.Itoa(k) + " For Id:" + strconv.Itoa(int(id))
	if s.size == 0 {
		return text
	}
	if len(text) >= s.size {
		return text[:s.size]
	}
	return text + s.padding[len(text):]
}
