package e2e;

import java.util.Collection;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Sends one message after the other until it is closed, and remembers what was confirmed. */
final class Load implements AutoCloseable {
    private static final int PAUSE_MILLIS = 5;

    final Collection<String> confirmed = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean closed = new AtomicBoolean();
    private final Thread thread;

    Load(DefaultMQProducer producer, String topic) {
        thread = new Thread(() -> {
            for (int i = 0; !closed.get(); i++) {
                try {
                    if (Scope.isStored(producer.send(Scope.message(topic, "t", Integer.toString(i))))) {
                        confirmed.add(Integer.toString(i));
                    }
                    Thread.sleep(PAUSE_MILLIS);
                } catch (InterruptedException e) {
                    return;
                } catch (Exception e) {
                    // It was not confirmed: the broker is gone.
                }
            }
        }, "load");
        thread.setDaemon(true);
        thread.start();
    }

    void await(int more) throws Exception {
        int want = confirmed.size() + more;
        Check.eventually(more + " more messages are confirmed", () -> confirmed.size() >= want);
    }

    @Override
    public void close() throws InterruptedException {
        closed.set(true);
        thread.join();
    }
}
