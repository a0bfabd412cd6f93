// Package pb is the Go code generated from proto/stream.proto, committed so that a build needs no protoc. With a protoc
// on PATH, `go generate ./pb` generates it again; the plugins are tools of this module.
package pb

//go:generate sh -c "protoc -I ../../../../proto --plugin=$(go tool -n protoc-gen-go) --plugin=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=paths=source_relative,Mstream.proto=fanstream/implementations/pb --go-grpc_out=. --go-grpc_opt=paths=source_relative,Mstream.proto=fanstream/implementations/pb stream.proto"
