package fanstream;

import io.grpc.ManagedChannel;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The load client of benches/README.md on grpc-java: its flags and its steps. Calls makes the calls. */
@Command(name = "load", description = "Makes calls to the tutorial's server and prints a summary.")
final class Load implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--addr", paramLabel = "HOST:PORT", defaultValue = "localhost:50005", description = "of the server")
    Flags.Address addr;

    @Option(names = "--id", paramLabel = "N", defaultValue = "1", description = "call i requests id N + i")
    int id;

    @Option(names = "--calls", paramLabel = "N", defaultValue = "1", description = "in all")
    int calls;

    @Option(names = "--in-flight", paramLabel = "N", defaultValue = "1", description = "calls open at the same time")
    int inFlight;

    @Option(names = "--connections", paramLabel = "N", defaultValue = "1", description = "which the calls use in turn")
    int connections;

    @Option(names = "--ramp", paramLabel = "DURATION", defaultValue = "0s",
            description = "over which the starts of the calls are spread")
    Duration ramp;

    @Option(names = "--warm-up", paramLabel = "N",
            description = "calls before the measured ones (default: as many as connections)")
    Integer warmUp;

    @Option(names = "--step", paramLabel = "DURATION", defaultValue = "0s",
            description = "the server's; reports lateness")
    Duration step;

    @Option(names = "--print", description = "prints each response as ID<TAB>RESULT")
    boolean print;

    @Option(names = "--samples", description = "reports the time of each first response and each gap")
    boolean samples;

    @Option(names = "--stall", description = "reads the first response of each call, then none until the input ends")
    boolean stall;

    @Option(names = "--window", paramLabel = "BYTES", defaultValue = "0",
            description = "flow control of stream and connection; 0 is the library's default")
    int window;

    @Option(names = "--tls-ca", paramLabel = "FILE", description = "PEM of the one authority to trust; uses TLS")
    File tlsCa;

    @Option(names = "--server-name", paramLabel = "NAME", description = "in the certificate, if not the host of --addr")
    String serverName;

    public static void main(String[] arguments) {
        System.exit(Flags.commandLine(new Load()).execute(arguments));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        validate();
        List<ManagedChannel> channels;
        try {
            channels = Channels.open(this);
        } catch (IOException failure) {
            throw new ParameterException(spec.commandLine(), "--tls-ca: " + failure.getMessage(), failure);
        }
        Channels.connect(channels);
        Calls load = new Calls(this, channels);
        if (!stall) {
            load.warmUp();
        }
        BufferedReader controller = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        if (controller.readLine() == null) {
            System.err.println("standard input ended before the line that starts the calls");
            return ExitCode.USAGE;
        }
        List<CallRecord> records = stall ? load.stalled(() -> hold(controller)) : load.measured();
        System.out.println(new Summary(records, samples, step.toNanos()).json());
        awaitEnd(controller);
        return records.stream().allMatch(CallRecord::succeeded) ? ExitCode.OK : ExitCode.SOFTWARE;
    }

    private static void hold(BufferedReader controller) {
        System.out.println("stalled");
        awaitEnd(controller);
    }

    private static void awaitEnd(BufferedReader controller) {
        try {
            while (controller.readLine() != null) {}
        } catch (IOException ended) {
            // An unreadable input has ended too.
        }
    }

    private void validate() {
        if (warmUp == null) {
            warmUp = connections;
        }
        require(calls >= 1 && inFlight >= 1 && connections >= 1,
                "--calls, --in-flight and --connections must be at least 1");
        require(warmUp >= 0 && window >= 0, "--warm-up and --window must not be negative");
        require(id <= Integer.MAX_VALUE - (Math.max(calls, warmUp) - 1L), "--id: all ids must be 32-bit integers");
        require(serverName == null || tlsCa != null, "--server-name is of no use without --tls-ca");
    }

    private void require(boolean valid, String otherwise) {
        if (!valid) {
            throw new ParameterException(spec.commandLine(), otherwise);
        }
    }
}
