package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"fanstream/implementations/pb"
)

// load makes the calls, with a goroutine for each one in flight.
type load struct {
	config
	channels []*grpc.ClientConn
	clients  []pb.StreamServiceClient // one for each channel
	records  []record                 // one for each call; that call alone writes it

	began time.Time // all times of records count from here

	mu  sync.Mutex // one line at a time on out, from any call
	out io.Writer
}

func dial(c config, out io.Writer) (*load, error) {
	options, err := dialOptions(c)
	if err != nil {
		return nil, err
	}
	l := &load{config: c, out: out, records: make([]record, c.calls)}
	for range c.connections {
		// Each channel has its own TCP connection: grpc-go shares none between channels.
		channel, err := grpc.NewClient(c.addr, options...)
		if err != nil {
			return nil, fmt.Errorf("--addr %s: %w", c.addr, err)
		}
		l.channels = append(l.channels, channel)
		l.clients = append(l.clients, pb.NewStreamServiceClient(channel))
	}
	return l, nil
}

func (l *load) close() {
	for _, channel := range l.channels {
		channel.Close()
	}
}

func (l *load) connect() {
	var connecting sync.WaitGroup
	for _, channel := range l.channels {
		connecting.Go(func() { connect(channel) })
	}
	connecting.Wait()
}

// warmUp makes the warm-up calls. All connections have one at the same time, even if fewer calls are measured at once.
func (l *load) warmUp() {
	each(l.config.warmUp, max(l.inFlight, l.connections), func(i int) {
		stream, err := l.open(context.Background(), i)
		for err == nil {
			_, err = stream.Recv()
		}
	})
}

// measured makes the measured calls and waits for their ends.
func (l *load) measured() []record {
	l.began = time.Now()
	each(l.calls, l.inFlight, func(i int) {
		l.awaitTurn(i)
		l.call(i, &l.records[i])
	})
	return l.records
}

func (l *load) call(i int, r *record) {
	r.began = time.Since(l.began)
	stream, err := l.open(context.Background(), i)
	for err == nil {
		var response *pb.Response
		if response, err = stream.Recv(); err == nil {
			l.count(i, r, response.GetResult())
		}
	}
	r.end(l.began, err)
}

// stalled opens all calls, since no stalled call makes room for another. When each has its first response or has ended, it
// runs hold and then cancels the open calls.
func (l *load) stalled(hold func()) []record {
	ctx, cancel := context.WithCancel(context.Background())
	l.began = time.Now()
	var answered, ended sync.WaitGroup
	answered.Add(l.calls)
	for i := range l.calls {
		ended.Go(func() {
			l.awaitTurn(i)
			l.stall(ctx, i, &l.records[i], answered.Done)
		})
	}
	answered.Wait()
	hold()
	cancel()
	ended.Wait()
	return l.records
}

func (l *load) stall(ctx context.Context, i int, r *record, answered func()) {
	r.began = time.Since(l.began)
	stream, err := l.open(ctx, i)
	if err == nil {
		var response *pb.Response
		if response, err = stream.Recv(); err == nil {
			l.count(i, r, response.GetResult())
		}
	}
	answered()
	if err == nil {
		<-ctx.Done()
		err = status.FromContextError(ctx.Err()).Err()
	}
	r.end(l.began, err)
}

func (l *load) open(ctx context.Context, i int) (grpc.ServerStreamingClient[pb.Response], error) {
	return l.clients[i%len(l.clients)].FetchResponse(ctx, &pb.Request{Id: l.idOf(i)})
}

func (l *load) idOf(i int) int32 {
	return int32(l.id + i)
}

// awaitTurn blocks until the ramp lets call i start.
func (l *load) awaitTurn(i int) {
	if l.ramp > 0 {
		due := time.Duration(float64(l.ramp) * float64(i) / float64(l.calls))
		time.Sleep(due - time.Since(l.began))
	}
}

// count runs for each response, so it does only the work that the flags ask for.
func (l *load) count(i int, r *record, result string) {
	if l.samples || l.step > 0 {
		r.arrivals = append(r.arrivals, time.Since(l.began))
	}
	r.messages++
	r.bytes += len(result)
	if l.print {
		l.mu.Lock()
		defer l.mu.Unlock()
		fmt.Fprintf(l.out, "%d\t%s\n", l.idOf(i), result)
	}
}

// end records how and when the call ended; a successful stream ends with io.EOF.
func (r *record) end(began time.Time, err error) {
	r.ended = time.Since(began)
	if !errors.Is(err, io.EOF) {
		r.status = status.Code(err)
	}
}

// each runs call for 0 to n-1, at most inFlight of them at the same time: as soon as one ends, the next starts.
func each(n, inFlight int, call func(i int)) {
	var next atomic.Int64
	var callers sync.WaitGroup
	for range min(n, inFlight) {
		callers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				call(int(i))
			}
		})
	}
	callers.Wait()
}
