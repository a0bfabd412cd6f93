package fanstream;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.concurrent.locks.LockSupport;
import protobuf.Stream.Request;
import protobuf.Stream.Response;

/**
 * Answers each request from a blocking producer on a virtual thread. The library's callbacks only wake the producer. It
 * waits until its next response is due, and while the library is not ready: by default while 32 KiB are unsent.
 */
final class Streamer implements StreamServiceGrpc.Handler {
    private final int count;
    private final long step;
    private final int size;

    Streamer(int count, long step, int size) {
        this.count = count;
        this.step = step;
        this.size = size;
    }

    @Override
    public void fetchResponse(Request request, ServerCallStreamObserver<Response> responses) {
        Thread producer = Threads.BLOCKING.newThread(() -> produce(request.getId(), responses));
        Runnable wake = () -> LockSupport.unpark(producer);
        responses.setOnReadyHandler(wake);
        responses.setOnCancelHandler(wake);
        producer.start();
    }

    private void produce(int id, ServerCallStreamObserver<Response> responses) {
        try {
            long began = System.nanoTime();
            for (int k = 0; k < count; k++) {
                awaitDue(began + k * step, responses);
                awaitReady(responses);
                if (responses.isCancelled()) {
                    return;
                }
                responses.onNext(Response.newBuilder().setResult(text(k, id)).build());
            }
            responses.onCompleted();
        } catch (RuntimeException failure) {
            responses.onError(Status.INTERNAL.withCause(failure).asRuntimeException());
        }
    }

    private void awaitDue(long due, ServerCallStreamObserver<Response> responses) {
        // Any callback may wake it early.
        while (step > 0 && due - System.nanoTime() > 0 && !responses.isCancelled()) {
            LockSupport.parkNanos(this, due - System.nanoTime());
        }
    }

    private void awaitReady(ServerCallStreamObserver<Response> responses) {
        while (!responses.isReady() && !responses.isCancelled()) {
            LockSupport.park(this);
        }
    }

    private String text(int k, int id) {
        String text = "Request #" + k + " For Id:" + id;
        if (size == 0) {
            return text;
        }
        return text.length() >= size ? text.substring(0, size) : text + ".".repeat(size - text.length());
    }
}
