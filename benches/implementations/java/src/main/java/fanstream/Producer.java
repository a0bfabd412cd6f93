package fanstream;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import protobuf.Stream.Response;

/**
 * Makes responses as a call does, but sends none. Their cost can be measured from outside, between the line that it
 * waits for and the one that it prints.
 */
final class Producer {
    /** Nanoseconds, in which the JVM compiles the code. */
    private static final long WARM_UP = 1_000_000_000;

    /** Keeps the compiler from removing the work. */
    private static volatile Response made;

    private Producer() {}

    static void run(Streamer streamer, int count) throws IOException {
        long began = System.nanoTime();
        do {
            produce(streamer, count);
        } while (System.nanoTime() - began < WARM_UP);
        BufferedReader controller = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        controller.readLine();
        long bytes = produce(streamer, count);
        System.out.println("{\"responses\": " + count + ", \"bytes\": " + bytes + "}");
        while (controller.readLine() != null) {}
    }

    /** Returns the bytes of the results, for id 1. */
    private static long produce(Streamer streamer, int count) {
        long bytes = 0;
        for (int k = 0; k < count; k++) {
            made = streamer.response(k, 1);
            bytes += made.getResultBytes().size();
        }
        return bytes;
    }
}
