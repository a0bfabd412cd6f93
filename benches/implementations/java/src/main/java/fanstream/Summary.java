package fanstream;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** The summary of all calls: records in, the JSON object of benches/README.md out. */
final class Summary {
    private final List<CallRecord> calls;
    private final boolean samples;
    private final long step;

    /** `step` is in nanoseconds; 0 asks for no lateness. */
    Summary(List<CallRecord> calls, boolean samples, long step) {
        this.calls = calls;
        this.samples = samples;
        this.step = step;
    }

    String json() {
        long began = calls.stream().mapToLong(call -> call.began).min().orElse(0);
        long ended = calls.stream().mapToLong(call -> call.ended).max().orElse(0);
        StringBuilder json = new StringBuilder("{\"calls\": ").append(calls.size());
        json.append(", \"statuses\": ").append(statuses());
        json.append(", \"messages\": ").append(calls.stream().mapToLong(call -> call.messages).sum());
        json.append(", \"bytes\": ").append(calls.stream().mapToLong(call -> call.bytes).sum());
        json.append(", \"seconds\": ").append((ended - began) / 1e9);
        if (samples) {
            json.append(", \"first_us\": ").append(list(firsts()));
            json.append(", \"gap_us\": ").append(list(gaps()));
        }
        if (step > 0) {
            json.append(", \"late_us\": ").append(list(lateness()));
        }
        return json.append("}").toString();
    }

    private String statuses() {
        Map<String, Long> counts = calls.stream()
                .collect(Collectors.groupingBy(call -> call.status.name(), TreeMap::new, Collectors.counting()));
        return counts.entrySet().stream()
                .map(entry -> "\"" + entry.getKey() + "\": " + entry.getValue())
                .collect(Collectors.joining(", ", "{", "}"));
    }

    private LongStream firsts() {
        return calls.stream()
                .filter(call -> call.arrivals().length > 0)
                .mapToLong(call -> call.arrivals()[0] - call.began);
    }

    private LongStream gaps() {
        return calls.stream().flatMapToLong(call -> {
            long[] arrivals = call.arrivals();
            return IntStream.range(1, arrivals.length).mapToLong(j -> arrivals[j] - arrivals[j - 1]);
        });
    }

    /**
     * Leaves out responses that were due before the last call had started: the client was still busy opening calls, and
     * would be measured instead of the server.
     */
    private LongStream lateness() {
        long lastBegan = calls.stream().mapToLong(call -> call.began).max().orElse(0);
        return calls.stream().flatMapToLong(call -> {
            long[] arrivals = call.arrivals();
            return IntStream.range(0, arrivals.length)
                    .filter(j -> call.began + j * step > lastBegan)
                    .mapToLong(j -> arrivals[j] - (call.began + j * step));
        });
    }

    private static String list(LongStream nanoseconds) {
        return nanoseconds.mapToObj(value -> Long.toString(Math.round(value / 1e3)))
                .collect(Collectors.joining(", ", "[", "]"));
    }
}
