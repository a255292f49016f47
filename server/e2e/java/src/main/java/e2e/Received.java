package e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** What a push consumer has got so far. */
final class Received {
    private final Collection<MessageExt> messages = new ConcurrentLinkedQueue<>();
    final DefaultMQPushConsumer consumer;

    /** A consumer of a new group that begins with the oldest message. */
    Received(Scope scope, String topic, String tags) throws Exception {
        this(scope.pushConsumer(scope.name("group")), topic, tags);
    }

    /** Subscribes and starts a consumer. */
    Received(DefaultMQPushConsumer consumer, String topic, String tags) throws Exception {
        this(consumer, topic, MessageSelector.byTag(tags));
    }

    /** Subscribes and starts a consumer that chooses its messages in any way. */
    Received(DefaultMQPushConsumer consumer, String topic, MessageSelector selector) throws Exception {
        this.consumer = consumer;
        consumer.subscribe(topic, selector);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            messages.addAll(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
    }

    Collection<MessageExt> messages() {
        return messages;
    }

    List<String> bodies() {
        return messages.stream().map(Scope::body).collect(Collectors.toList());
    }

    /** Waits until the bodies "0" to "count-1" have arrived, each once: nothing here fails or moves, so nothing comes twice. */
    void awaitNumbers(int count) throws Exception {
        awaitNumbers(0, count);
    }

    void awaitNumbers(int from, int to) throws Exception {
        List<String> want = IntStream.range(from, to).mapToObj(Integer::toString).sorted().collect(Collectors.toList());
        try {
            Check.eventually("messages " + from + " to " + (to - 1), () -> messages.size() >= want.size());
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; got " + bodies().size() + " messages: " + byQueue());
        }
        Check.same(want, bodies().stream().sorted().collect(Collectors.toList()), "bodies");
    }

    /** Waits until these bodies have arrived; some may have come twice, and others, too. */
    void awaitAll(Collection<String> want) throws Exception {
        try {
            Check.eventually(want.size() + " messages", () -> bodies().containsAll(want));
        } catch (AssertionError e) {
            Set<String> missing = new TreeSet<>(want);
            bodies().forEach(missing::remove);
            throw new AssertionError(e.getMessage() + "; missing: " + missing);
        }
    }

    /** How many messages came from each queue. */
    Map<Integer, Integer> byQueue() {
        Map<Integer, Integer> counts = new TreeMap<>();
        for (MessageExt m : new ArrayList<>(messages)) {
            counts.merge(m.getQueueId(), 1, Integer::sum);
        }
        return counts;
    }
}
