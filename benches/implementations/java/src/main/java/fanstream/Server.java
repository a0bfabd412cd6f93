package fanstream;

import io.grpc.InsecureServerCredentials;
import io.grpc.ServerCredentials;
import io.grpc.TlsServerCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The server of benches/README.md on grpc-java. It serves until the process is killed. */
@Command(name = "server", description = "Serves the tutorial's StreamService on grpc-java, until SIGTERM.")
final class Server implements Callable<Integer> {
    /** Kept here: the log manager forgets loggers that nothing refers to. */
    private static final Logger LIBRARY = Logger.getLogger("io.grpc");

    @Spec
    private CommandSpec spec;

    @Option(names = "--listen", paramLabel = "HOST:PORT", defaultValue = "localhost:50005",
            description = "port 0 picks one")
    private Flags.Address listen;

    @Option(names = "--responses", paramLabel = "N", defaultValue = "5", description = "responses to each request")
    private int responses;

    @Option(names = "--step", paramLabel = "DURATION", defaultValue = "1s",
            description = "response k is due after k steps; 0s sends as fast as the client reads")
    private Duration step;

    @Option(names = "--size", paramLabel = "BYTES", defaultValue = "0",
            description = "of each result, cut or padded; 0 is the text as it is")
    private int size;

    @Option(names = "--log-level", paramLabel = "LEVEL", description = "ignored: this server logs nothing")
    private String logLevel;

    @Option(names = "--produce", paramLabel = "N",
            description = "make N responses without sending them, and exit; for the audit of scripts/compare")
    private Integer produce;

    @ArgGroup(exclusive = false)
    private Tls tls;

    private static final class Tls {
        @Option(names = "--tls-cert", paramLabel = "FILE", required = true, description = "PEM; serves TLS")
        private File certificate;

        @Option(names = "--tls-key", paramLabel = "FILE", required = true, description = "PEM of its key")
        private File key;
    }

    public static void main(String[] arguments) {
        System.exit(Flags.commandLine(new Server()).execute(arguments));
    }

    @Override
    public Integer call() throws InterruptedException, IOException {
        if (responses < 0 || size < 0) {
            throw new ParameterException(spec.commandLine(), "--responses and --size must not be negative");
        }
        if (produce != null && produce < 1) {
            throw new ParameterException(spec.commandLine(), "--produce must be at least 1");
        }
        Streamer streamer = new Streamer(responses, step.toNanos(), size);
        if (produce != null) {
            Producer.run(streamer, produce);
            return ExitCode.OK;
        }
        // It warns about each call that its client cancels.
        LIBRARY.setLevel(Level.SEVERE);
        io.grpc.Server server = start(streamer, credentials());
        // println flushes.
        System.out.println("listening on " + listen.host() + ":" + server.getPort());
        server.awaitTermination();
        return ExitCode.OK;
    }

    private io.grpc.Server start(Streamer streamer, ServerCredentials credentials) {
        InetSocketAddress address = new InetSocketAddress(listen.bareHost(), listen.port());
        try {
            return NettyServerBuilder.forAddress(address, credentials)
                    // The callbacks of a call never block (see Streamer), so they need no thread of their own.
                    .directExecutor()
                    .addService(StreamServiceGrpc.service(streamer))
                    .build()
                    .start();
        } catch (IOException failure) {
            throw new ParameterException(spec.commandLine(), "--listen: " + failure.getMessage(), failure);
        }
    }

    private ServerCredentials credentials() {
        if (tls == null) {
            return InsecureServerCredentials.create();
        }
        try {
            return TlsServerCredentials.create(tls.certificate, tls.key);
        } catch (IOException failure) {
            throw new ParameterException(spec.commandLine(), "--tls-cert, --tls-key: " + failure.getMessage(), failure);
        }
    }
}
