package main

import (
	"context"
	"log"
	"strconv"
	"strings"
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

func newStreamer(c config) *streamer {
	return &streamer{config: c, padding: strings.Repeat(".", c.size)}
}

type responseStream = grpc.ServerStreamingServer[pb.Response]

// FetchResponse sends from the call's own goroutine, which waits until each response is due. A goroutine for each response
// would gain nothing and cost every call their stacks and timers.
func (s *streamer) FetchResponse(request *pb.Request, stream responseStream) error {
	if s.verbose() {
		log.Printf("fetch response for id : %d", request.GetId())
	}
	began := time.Now()
	var wait alarm
	for k := range s.responses {
		if due := time.Duration(k) * s.step; due > 0 {
			if err := wait.sleep(stream.Context(), due-time.Since(began)); err != nil {
				return err
			}
		}
		if err := s.send(stream, request.GetId(), k); err != nil {
			return err
		}
	}
	return nil
}

// alarm is the one timer of a call. It needs no Stop: the garbage collector takes it, even if it runs.
type alarm struct{ timer *time.Timer }

// sleep ends early, with the reason, if the call ends. It sets no timer if d has passed already.
func (a *alarm) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
	select {
	case <-a.timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *streamer) send(stream responseStream, id int32, k int) error {
	if err := stream.Send(s.response(id, k)); err != nil {
		return err
	}
	if s.verbose() {
		log.Printf("finishing request number : %d", k)
	}
	return nil
}

// response makes a new message each time: grpc-go forbids to change one after it was sent.
func (s *streamer) response(id int32, k int) *pb.Response {
	return &pb.Response{Result: s.result(id, k)}
}

// result writes the text into a buffer on the stack, so only the string itself is allocated, once and in its size.
func (s *streamer) result(id int32, k int) string {
	var buffer [64]byte
	text := append(buffer[:0], "Request #"...)
	text = strconv.AppendInt(text, int64(k), 10)
	text = append(text, " For Id:"...)
	text = strconv.AppendInt(text, int64(id), 10)
	if s.size == 0 {
		return string(text)
	}
	if len(text) >= s.size {
		return string(text[:s.size])
	}
	var padded strings.Builder
	padded.Grow(s.size)
	padded.Write(text)
	padded.WriteString(s.padding[len(text):])
	return padded.String()
}
