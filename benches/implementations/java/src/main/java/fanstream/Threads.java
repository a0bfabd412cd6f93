package fanstream;

import java.util.concurrent.ThreadFactory;

/** Threads for code that blocks: virtual ones, or platform threads before JDK 21. */
final class Threads {
    static final ThreadFactory BLOCKING = virtual();

    private Threads() {}

    /** By reflection: this code is compiled for JDK 17 too. */
    private static ThreadFactory virtual() {
        try {
            Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
            return (ThreadFactory) Class.forName("java.lang.Thread$Builder").getMethod("factory").invoke(builder);
        } catch (ReflectiveOperationException older) {
            return task -> {
                Thread thread = new Thread(task);
                thread.setDaemon(true);
                return thread;
            };
        }
    }
}
