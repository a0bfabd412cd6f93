package fanstream;

import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** The connections of the load client. Each channel has its own: grpc-java shares none between channels. */
final class Channels {
    private Channels() {}

    static List<ManagedChannel> open(Load flags) throws IOException {
        List<ManagedChannel> channels = new ArrayList<>();
        ChannelCredentials credentials = flags.tlsCa == null
                ? InsecureChannelCredentials.create()
                : TlsChannelCredentials.newBuilder().trustManager(flags.tlsCa).build();
        for (int i = 0; i < flags.connections; i++) {
            String target = flags.addr.host() + ":" + flags.addr.port();
            NettyChannelBuilder builder = NettyChannelBuilder.forTarget(target, credentials)
                    // The callbacks of a call never block (see Calls), so they need no thread of their own.
                    .directExecutor()
                    .maxInboundMessageSize(Integer.MAX_VALUE);
            if (flags.window > 0) {
                // Of the stream and of the connection: it cannot set them apart.
                builder.flowControlWindow(flags.window);
            }
            if (flags.serverName != null) {
                builder.overrideAuthority(flags.serverName);
            }
            channels.add(builder.build());
        }
        return channels;
    }

    /** Waits until each channel has connected or failed. A failure is the status of each call on the channel. */
    static void connect(List<ManagedChannel> channels) throws InterruptedException {
        CountDownLatch settled = new CountDownLatch(channels.size());
        channels.forEach(channel -> watch(channel, settled));
        settled.await();
    }

    private static void watch(ManagedChannel channel, CountDownLatch settled) {
        ConnectivityState state = channel.getState(true);
        if (state == ConnectivityState.IDLE || state == ConnectivityState.CONNECTING) {
            channel.notifyWhenStateChanged(state, () -> watch(channel, settled));
        } else {
            settled.countDown();
        }
    }
}
