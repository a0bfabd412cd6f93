// Command server is grpc-go's interop service. grpc-go's own command listens on every interface and
// does not say where; this one listens on a free port of 127.0.0.1 and prints its address.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	certificate := flag.String("tls_cert_file", "", "PEM file of the certificate; none serves in the clear")
	key := flag.String("tls_key_file", "", "PEM file of its key")
	flag.Parse()
	var options []grpc.ServerOption
	if *certificate != "" {
		credentials, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			log.Fatalf("-tls_cert_file, -tls_key_file: %v", err)
		}
		options = append(options, grpc.Creds(credentials))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}
