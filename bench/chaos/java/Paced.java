import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/**
 * RocketMQ's producer as it comes. It begins a send at a fixed pace whatever becomes of those before, until its input
 * ends, and tells what happens, a line for each event:
 *
 * <pre>
 * B writer number                                          a send begins
 * E writer number status broker queue offset offsetMsgId   it ended
 * E writer number FAILED                                   nobody knows how
 * </pre>
 *
 * Arguments: nameservers, topic, sends per second, milliseconds of warm-up after the first that was confirmed, and
 * pollNameServerInterval in milliseconds, 0 for the default. Sends of the warm-up are writer 1's, the others writer 2's.
 */
public final class Paced {
    private static final int IN_FLIGHT_MAX = 256;
    private static final PrintStream OUT = new PrintStream(
        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)), true, StandardCharsets.UTF_8);

    private final DefaultMQProducer producer = new DefaultMQProducer("failover-java");
    private final Semaphore room = new Semaphore(IN_FLIGHT_MAX);
    private final ExecutorService senders = Executors.newCachedThreadPool();
    private final AtomicLong firstConfirmed = new AtomicLong();
    private final String topic;
    private volatile boolean ending;

    private Paced(String topic) {
        this.topic = topic;
    }

    public static void main(String[] args) throws Exception {
        System.setOut(System.err); // the client's logger says things there
        Paced paced = new Paced(args[1]);
        paced.producer.setNamesrvAddr(args[0]);
        int poll = Integer.parseInt(args[4]);
        if (poll > 0) {
            paced.producer.setPollNameServerInterval(poll);
        }
        paced.producer.start();
        Thread watcher = new Thread(paced::awaitEnd);
        watcher.setDaemon(true);
        watcher.start();
        paced.send(TimeUnit.SECONDS.toNanos(1) / Integer.parseInt(args[2]), TimeUnit.MILLISECONDS.toNanos(Long.parseLong(args[3])));
        paced.senders.shutdown();
        paced.senders.awaitTermination(1, TimeUnit.MINUTES);
        paced.producer.shutdown();
        System.exit(0);
    }

    private void awaitEnd() {
        try {
            while (System.in.read() >= 0) {
                continue;
            }
        } catch (java.io.IOException e) {
            // the other side is gone
        }
        ending = true;
    }

    private void send(long interval, long warmUp) {
        long[] sent = new long[3];
        for (long due = System.nanoTime(); !ending; due += interval) {
            LockSupport.parkNanos(due - System.nanoTime());
            if (!room.tryAcquire()) {
                continue;
            }
            long first = firstConfirmed.get();
            int writer = first == 0 || System.nanoTime() - first < warmUp ? 1 : 2;
            long number = sent[writer]++;
            tell("B " + writer + " " + number);
            senders.execute(() -> sendOne(writer, number));
        }
    }

    private void sendOne(int writer, long number) {
        String outcome = "FAILED";
        try {
            SendResult r = producer.send(new Message(topic, body(writer, number)));
            outcome = r.getSendStatus() + " " + r.getMessageQueue().getBrokerName() + " " + r.getMessageQueue().getQueueId()
                + " " + r.getQueueOffset() + " " + r.getOffsetMsgId();
            firstConfirmed.compareAndSet(0, System.nanoTime());
        } catch (Exception e) {
            System.err.println(writer + " " + number + ": " + e);
        }
        tell("E " + writer + " " + number + " " + outcome);
        room.release();
    }

    private static void tell(String line) {
        synchronized (OUT) {
            OUT.println(line);
        }
    }

    /** The body that bench/check expects. */
    static byte[] body(int writer, long number) {
        long mix = (number * 4 + writer + 1) * 0x9E3779B97F4A7C15L >>> 32;
        byte[] body = new byte[12 + (int) (mix % 3000)];
        ByteBuffer.wrap(body).putInt(writer).putLong(number);
        for (int i = 12; i < body.length; i++) {
            body[i] = (byte) (mix + i);
        }
        return body;
    }
}
