package fanstream;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** The types of flags that both programs have. It knows no flag. */
final class Flags {
    private Flags() {}

    /** The command line of a program, with the types below. */
    static CommandLine commandLine(Object program) {
        return new CommandLine(program)
                .registerConverter(Address.class, Address::parse)
                .registerConverter(Duration.class, new DurationType());
    }

    /** HOST:PORT or [IPV6]:PORT. */
    record Address(String host, int port) {
        private static Address parse(String text) {
            int colon = text.lastIndexOf(':');
            if (colon < 1 || !text.substring(colon + 1).matches("\\d{1,5}")) {
                throw new TypeConversionException("write it as HOST:PORT or [IPV6]:PORT");
            }
            return new Address(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
        }

        /** The host without the brackets of an IPv6 address. */
        String bareHost() {
            return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
        }
    }

    /** 250ms, 1s, 1m30s, or a bare 0. */
    private static final class DurationType implements ITypeConverter<Duration> {
        private static final Map<String, Long> NANOSECONDS = Map.of(
                "h", 3_600_000_000_000L, "m", 60_000_000_000L, "s", 1_000_000_000L,
                "ms", 1_000_000L, "us", 1_000L, "µs", 1_000L, "ns", 1L);
        private static final Pattern PART = Pattern.compile("(\\d+(?:\\.\\d+)?)(h|ms|m|s|us|µs|ns)");
        private static final Pattern ALL = Pattern.compile("0|(?:" + PART.pattern() + ")+");

        @Override
        public Duration convert(String text) {
            if (!ALL.matcher(text).matches()) {
                throw new TypeConversionException("'" + text + "' is no duration such as 250ms or 1s");
            }
            Duration sum = Duration.ZERO;
            for (Matcher part = PART.matcher(text); part.find(); ) {
                BigDecimal unit = BigDecimal.valueOf(NANOSECONDS.get(part.group(2)));
                sum = sum.plusNanos(new BigDecimal(part.group(1)).multiply(unit).longValue());
            }
            return sum;
        }
    }
}
