package main

import (
	"context"
	"log"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"fanstream/peers/pb"
)

// streamer answers each request with responses results; worker k takes k times step over its own.
type streamer struct {
	pb.UnimplementedStreamServiceServer
	config
	padding string // size bytes, to pad every result from
}

type responseStream = grpc.ServerStreamingServer[pb.Response]

func (s *streamer) FetchResponse(request *pb.Request, stream responseStream) error {
	if s.verbose() {
		log.Printf("fetch response for id : %d", request.GetId())
	}
	if s.step == 0 {
		return s.produce(request.GetId(), stream)
	}
	return s.fanOut(request.GetId(), stream)
}

// produce sends everything from the call's own goroutine. With no wait between the responses there is nothing to gain
// from a goroutine for each, and 200,000 of them would cost a gigabyte.
func (s *streamer) produce(id int32, stream responseStream) error {
	for k := range s.responses {
		if err := s.send(stream, id, k); err != nil {
			return err
		}
	}
	return nil
}

// fanOut runs one goroutine a worker. They only report over the channel: Send is not safe for concurrent use, so the
// call's own goroutine owns it.
func (s *streamer) fanOut(id int32, stream responseStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel() // before the wait: when Send has failed, the other workers are to stop

	done := make(chan int)
	for k := range s.responses {
		workers.Go(func() { s.work(ctx, k, done) })
	}
	for range s.responses {
		select {
		case k := <-done:
			if err := s.send(stream, id, k); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// work takes as long as worker k takes, then reports k; it stops at once when the call is over.
func (s *streamer) work(ctx context.Context, k int, done chan<- int) {
	timer := time.NewTimer(time.Duration(k) * s.step)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	select {
	case done <- k:
	case <-ctx.Done():
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
