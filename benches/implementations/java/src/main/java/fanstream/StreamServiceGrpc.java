package fanstream;

import io.grpc.BindableService;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerServiceDefinition;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import protobuf.Stream.Request;
import protobuf.Stream.Response;

/**
 * The service of stream.proto. It calls the library as the code does that protoc-gen-grpc-java generates, and is written by
 * hand so that a build does not depend on that plugin, which is a program for each platform.
 */
final class StreamServiceGrpc {
    private static final String SERVICE = "protobuf.StreamService";

    private static final MethodDescriptor<Request, Response> FETCH_RESPONSE =
            MethodDescriptor.<Request, Response>newBuilder()
                    .setType(MethodType.SERVER_STREAMING)
                    .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, "FetchResponse"))
                    .setSampledToLocalTracing(true)
                    .setRequestMarshaller(ProtoUtils.marshaller(Request.getDefaultInstance()))
                    .setResponseMarshaller(ProtoUtils.marshaller(Response.getDefaultInstance()))
                    .build();

    private StreamServiceGrpc() {}

    /** The server's side. */
    interface Handler {
        void fetchResponse(Request request, ServerCallStreamObserver<Response> responses);
    }

    static BindableService service(Handler handler) {
        return () -> ServerServiceDefinition.builder(SERVICE)
                .addMethod(FETCH_RESPONSE, ServerCalls.asyncServerStreamingCall((request, responses) ->
                        handler.fetchResponse(request, (ServerCallStreamObserver<Response>) responses)))
                .build();
    }

    /** The client's side, as the asynchronous stub has it. */
    static void fetchResponse(Channel channel, Request request, StreamObserver<Response> responses) {
        ClientCalls.asyncServerStreamingCall(channel.newCall(FETCH_RESPONSE, CallOptions.DEFAULT), request, responses);
    }
}
