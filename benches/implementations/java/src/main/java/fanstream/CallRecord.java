package fanstream;

import io.grpc.Status;
import java.util.Arrays;

/** The observations of one call; one thread writes it. Times are nanoseconds of System.nanoTime. */
final class CallRecord {
    long began;
    long ended;
    Status.Code status = Status.Code.OK;
    long messages;
    long bytes;

    private long[] arrivals = {};

    void arrived(long time) {
        int count = (int) messages;
        if (count == arrivals.length) {
            arrivals = Arrays.copyOf(arrivals, Math.max(8, 2 * count));
        }
        arrivals[count] = time;
    }

    /** The time of each response, if they were recorded. */
    long[] arrivals() {
        return Arrays.copyOf(arrivals, (int) Math.min(messages, arrivals.length));
    }

    boolean succeeded() {
        return status == Status.Code.OK;
    }
}
