// Command server is the grpc-go implementation of the fanstream server, with the same contract and flags. scripts/interop
// runs it against every client, and scripts/compare measures it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	_ "fanstream/implementations/buffers"
	"fanstream/implementations/pb"
)

type config struct {
	listen    string
	responses int
	step      time.Duration
	size      int
	grace     time.Duration
	logLevel  slog.Level
	tlsCert   string // empty: clear text
	tlsKey    string
	produce   int // 0: serve
}

// verbose reports whether to log the tutorial's lines for every call and response. Check it before calling log.Printf,
// whose arguments would otherwise be allocated for every response.
func (c config) verbose() bool {
	return c.logLevel <= slog.LevelInfo
}

func main() {
	c := parseFlags()
	service := newStreamer(c)
	if c.produce > 0 {
		if err := produce(service, c.produce, os.Stdin, os.Stdout); err != nil {
			log.Fatalf("failed to produce: %v", err)
		}
		return
	}

	// Installed before the address is announced: the reader may send SIGTERM at once.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)

	options, err := serverOptions(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		log.Fatalf("failed to listen: %v", err)
	}
	if strings.HasSuffix(c.listen, ":0") {
		fmt.Printf("listening on %s\n", listener.Addr())
	}

	server := grpc.NewServer(options...)
	pb.RegisterStreamServiceServer(server, service)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-stop
		drain(server, c.grace)
	}()

	if c.verbose() {
		log.Print("start server")
	}
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		log.Fatalf("failed to serve: %v", err)
	}
	<-drained // Serve returns when the stop begins; open calls have not ended yet.
}

// serverOptions returns as few options as production uses. grpc-go's defaults share write buffers between connections,
// pool message buffers and do not limit streams. NumStreamWorkers, still experimental, saves short unary calls the growth
// of a goroutine's stack, but streams keep every worker busy and get their own goroutines anyway.
func serverOptions(c config) ([]grpc.ServerOption, error) {
	if c.tlsCert == "" {
		return nil, nil
	}
	security, err := credentials.NewServerTLSFromFile(c.tlsCert, c.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.tlsCert, c.tlsKey, err)
	}
	return []grpc.ServerOption{grpc.Creds(security)}, nil
}

// drain refuses new calls and lets open ones finish; at the end of the grace period it cancels the rest.
func drain(server *grpc.Server, grace time.Duration) {
	timer := time.AfterFunc(grace, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}

func parseFlags() config {
	c := config{}
	flag.StringVar(&c.listen, "listen", "localhost:50005", "`host:port` to listen on; port 0 picks one and prints it")
	flag.IntVar(&c.responses, "responses", 5, "responses to each request")
	flag.DurationVar(&c.step, "step", time.Second, "worker k answers after k times this `duration`")
	flag.IntVar(&c.size, "size", 0, "`bytes` of each result, cut or padded to it; 0 leaves the text as it is")
	flag.DurationVar(&c.grace, "grace", 30*time.Second, "`duration` for open calls to finish after SIGTERM")
	flag.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "least severe `level` to log: error, warn, info or debug")
	flag.StringVar(&c.tlsCert, "tls-cert", "", "PEM `file` with the certificate chain; serves TLS")
	flag.StringVar(&c.tlsKey, "tls-key", "", "PEM `file` of that certificate's key")
	flag.IntVar(&c.produce, "produce", 0, "make `N` responses without sending them, and exit; for the audit of scripts/compare")
	flag.Parse()
	if (c.tlsCert == "") != (c.tlsKey == "") {
		fmt.Fprintln(flag.CommandLine.Output(), "--tls-cert and --tls-key go together")
		flag.Usage()
		os.Exit(2)
	}
	if flag.NArg() > 0 || c.responses < 0 || c.step < 0 || c.size < 0 || c.grace < 0 || c.produce < 0 {
		fmt.Fprintln(flag.CommandLine.Output(), "no arguments are taken, and no flag may be negative")
		flag.Usage()
		os.Exit(2)
	}
	return c
}
