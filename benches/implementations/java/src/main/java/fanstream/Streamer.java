package fanstream;

import com.google.protobuf.UnsafeByteOperations;
import io.grpc.stub.ServerCallStreamObserver;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import protobuf.Stream.Request;
import protobuf.Stream.Response;

/**
 * Answers each request on the thread of its connection, without blocking. It pauses until its next response is due, and
 * while the library is not ready: by default while 32 KiB are unsent.
 */
final class Streamer implements StreamServiceGrpc.Handler {
    private final int count;
    private final long step;
    private final int size;
    private final byte[] padding;
    private final ScheduledThreadPoolExecutor timer = timer();

    Streamer(int count, long step, int size) {
        this.count = count;
        this.step = step;
        this.size = size;
        padding = new byte[size];
        Arrays.fill(padding, (byte) '.');
    }

    private static ScheduledThreadPoolExecutor timer() {
        ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1);
        timer.setRemoveOnCancelPolicy(true);
        return timer;
    }

    @Override
    public void fetchResponse(Request request, ServerCallStreamObserver<Response> responses) {
        Answer answer = new Answer(request.getId(), responses);
        responses.setOnReadyHandler(answer::proceed);
        responses.setOnCancelHandler(answer::cancel);
        answer.proceed();
    }

    /** The responses to one request. Its lock is for the thread of the connection and that of the timer. */
    private final class Answer {
        private final int id;
        private final ServerCallStreamObserver<Response> responses;
        private final long began = System.nanoTime();
        private int next;
        private boolean ended;
        private Future<?> pause; // null while nothing waits for a due time

        Answer(int id, ServerCallStreamObserver<Response> responses) {
            this.id = id;
            this.responses = responses;
        }

        synchronized void proceed() {
            while (!ended && pause == null && next < count && responses.isReady()) {
                long due = next * step;
                long left = due == 0 ? 0 : began + due - System.nanoTime();
                if (left > 0) {
                    pause = timer.schedule(this::due, left, TimeUnit.NANOSECONDS);
                } else {
                    responses.onNext(response(next++, id));
                }
            }
            if (next == count && !ended) {
                ended = true;
                responses.onCompleted();
            }
        }

        private synchronized void due() {
            pause = null;
            proceed();
        }

        synchronized void cancel() {
            ended = true;
            if (pause != null) {
                pause.cancel(false);
            }
        }
    }

    /**
     * Sets the result as bytes: protobuf encodes a string character by character, a long one through an array of three
     * times its size.
     */
    Response response(int k, int id) {
        byte[] text = ("Request #" + k + " For Id:" + id).getBytes(StandardCharsets.ISO_8859_1);
        return Response.newBuilder().setResultBytes(UnsafeByteOperations.unsafeWrap(sized(text))).build();
    }

    private byte[] sized(byte[] text) {
        if (size == 0) {
            return text;
        }
        if (text.length >= size) {
            return Arrays.copyOf(text, size);
        }
        byte[] padded = padding.clone();
        System.arraycopy(text, 0, padded, 0, text.length);
        return padded;
    }
}
