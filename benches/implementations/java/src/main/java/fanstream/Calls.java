package fanstream;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import protobuf.Stream.Request;
import protobuf.Stream.Response;

/** The calls of one run on the asynchronous stub. A virtual thread for each in flight starts it and awaits its end. */
final class Calls {
    private final Load flags;
    private final List<ManagedChannel> channels;
    private final boolean timed;
    private long began;

    Calls(Load flags, List<ManagedChannel> channels) {
        this.flags = flags;
        this.channels = channels;
        this.timed = flags.samples || !flags.step.isZero();
    }

    /** All connections have a warm-up call at the same time, even if fewer calls are measured at once. */
    void warmUp() throws InterruptedException {
        each(flags.warmUp, Math.max(flags.inFlight, flags.connections), this::discard);
    }

    List<CallRecord> measured() throws InterruptedException {
        List<CallRecord> records = records();
        began = System.nanoTime();
        each(flags.calls, flags.inFlight, i -> {
            awaitTurn(i);
            fetch(i, records.get(i));
        });
        return records;
    }

    /**
     * Opens all calls, since no stalled call makes room for another. When each has its first response or has ended, it
     * runs `hold` and then cancels the open calls.
     */
    List<CallRecord> stalled(Runnable hold) throws InterruptedException {
        List<CallRecord> records = records();
        CountDownLatch answered = new CountDownLatch(flags.calls);
        CountDownLatch released = new CountDownLatch(1);
        began = System.nanoTime();
        List<Thread> callers = start(flags.calls, flags.calls, i -> {
            awaitTurn(i);
            stall(i, records.get(i), answered, released);
        });
        answered.await();
        hold.run();
        released.countDown();
        join(callers);
        return records;
    }

    private void discard(int i) {
        // If a failure is of any consequence, the measured calls meet it too.
        open(i, new Receiver(response -> {})).awaitEnd();
    }

    private void fetch(int i, CallRecord record) {
        record.began = System.nanoTime();
        Receiver receiver = open(i, new Receiver(response -> count(i, record, response.getResult())));
        receiver.awaitEnd();
        record.status = receiver.status;
        record.ended = receiver.ended;
    }

    private void stall(int i, CallRecord record, CountDownLatch answered, CountDownLatch released) {
        record.began = System.nanoTime();
        Receiver receiver = open(i, new StalledReceiver(response -> count(i, record, response.getResult()), answered));
        await(released);
        receiver.cancel();
        receiver.awaitEnd();
        record.status = record.messages > 0 ? Status.Code.CANCELLED : receiver.status;
        record.ended = receiver.ended;
    }

    private Receiver open(int i, Receiver receiver) {
        Channel channel = channels.get(i % channels.size());
        StreamServiceGrpc.fetchResponse(channel, Request.newBuilder().setId(flags.id + i).build(), receiver);
        return receiver;
    }

    /** Takes the responses of a call on the thread of its connection, so that none is handed to another thread. */
    private static class Receiver implements ClientResponseObserver<Request, Response> {
        private final Consumer<Response> take;
        private final CountDownLatch over = new CountDownLatch(1);
        private ClientCallStreamObserver<Request> call;

        // Of the end of the call; valid after awaitEnd.
        Status.Code status = Status.Code.OK;
        long ended;

        Receiver(Consumer<Response> take) {
            this.take = take;
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<Request> call) {
            this.call = call;
        }

        @Override
        public void onNext(Response response) {
            take.accept(response);
        }

        @Override
        public void onError(Throwable failure) {
            status = Status.fromThrowable(failure).getCode();
            onCompleted();
        }

        @Override
        public void onCompleted() {
            ended = System.nanoTime();
            over.countDown();
        }

        void cancel() {
            call.cancel("the run has ended", null);
        }

        void awaitEnd() {
            await(over);
        }
    }

    /** Asks for one response only, and counts down when it or the end of the call has come. */
    private static final class StalledReceiver extends Receiver {
        private final CountDownLatch answered;
        private boolean hasAnswered; // callbacks of a call never overlap

        StalledReceiver(Consumer<Response> take, CountDownLatch answered) {
            super(take);
            this.answered = answered;
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<Request> call) {
            super.beforeStart(call);
            call.disableAutoRequestWithInitial(1);
        }

        @Override
        public void onNext(Response response) {
            super.onNext(response);
            answer();
        }

        @Override
        public void onCompleted() {
            super.onCompleted();
            answer();
        }

        private void answer() {
            if (!hasAnswered) {
                hasAnswered = true;
                answered.countDown();
            }
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException never) {
            throw new IllegalStateException("nothing interrupts these threads", never);
        }
    }

    /** Blocks until the ramp lets call i start. */
    private void awaitTurn(int i) {
        long due = began + (long) ((double) flags.ramp.toNanos() * i / flags.calls);
        for (long left; (left = due - System.nanoTime()) > 0; ) {
            LockSupport.parkNanos(this, left);
        }
    }

    /** Runs for each response, so it does only the work that the flags ask for. */
    private void count(int i, CallRecord record, String result) {
        if (timed) {
            record.arrived(System.nanoTime());
        }
        record.messages++;
        record.bytes += result.length(); // all results are ASCII
        if (flags.print) {
            // In one write: lines of several calls must not mix.
            System.out.print((flags.id + i) + "\t" + result + "\n");
        }
    }

    private List<CallRecord> records() {
        List<CallRecord> records = new ArrayList<>(flags.calls);
        for (int i = 0; i < flags.calls; i++) {
            records.add(new CallRecord());
        }
        return records;
    }

    /** Runs `call` for 0 to n-1, at most `inFlight` at the same time: as soon as one ends, the next starts. */
    private static void each(int n, int inFlight, IntConsumer call) throws InterruptedException {
        join(start(n, inFlight, call));
    }

    private static List<Thread> start(int n, int inFlight, IntConsumer call) {
        AtomicInteger next = new AtomicInteger();
        List<Thread> callers = new ArrayList<>();
        for (int caller = 0; caller < Math.min(n, inFlight); caller++) {
            Thread thread = Threads.BLOCKING.newThread(() -> {
                for (int i = next.getAndIncrement(); i < n; i = next.getAndIncrement()) {
                    call.accept(i);
                }
            });
            thread.start();
            callers.add(thread);
        }
        return callers;
    }

    private static void join(List<Thread> callers) throws InterruptedException {
        for (Thread caller : callers) {
            caller.join();
        }
    }
}
