package e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that ask for messages themselves. */
final class PullCases implements Suite {
    private static final int POLL_MILLIS = 1_000;

    @Override
    public void declare(Cases cases) {
        cases.add("pull: from an offset to the end, and past it", PullCases::pull);
        cases.add("pull: offsets are kept and found by time", PullCases::offsets);
        cases.add("lite pull: subscribe and poll", PullCases::subscribe);
        cases.add("lite pull: assign, seek, commit", PullCases::assign);
    }

    @SuppressWarnings("deprecation")
    private static void pull(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        Scope.send(scope.producer(), topic, "t", 100);
        DefaultMQPullConsumer consumer = scope.pullConsumer(scope.name("group"));
        consumer.start();
        Set<MessageQueue> queues = consumer.fetchSubscribeMessageQueues(topic);
        Check.same(1, queues.size(), "queues");
        MessageQueue queue = queues.iterator().next();
        List<String> bodies = new ArrayList<>();
        long next = 0;
        PullResult result = consumer.pull(queue, "*", next, 32);
        while (result.getPullStatus() == PullStatus.FOUND) {
            result.getMsgFoundList().forEach(m -> bodies.add(Scope.body(m)));
            next = result.getNextBeginOffset();
            result = consumer.pull(queue, "*", next, 32);
        }
        Check.same(PullStatus.NO_NEW_MSG, result.getPullStatus(), "status at the end");
        Check.same(100, bodies.size(), "messages");
        Check.same("99", bodies.get(99), "last message");
        Check.same(PullStatus.OFFSET_ILLEGAL, consumer.pull(queue, "*", 1_000, 32).getPullStatus(), "status past the end");
        Check.same(PullStatus.NO_MATCHED_MSG, consumer.pull(queue, "other", 0, 32).getPullStatus(), "status without a match");
    }

    @SuppressWarnings("deprecation")
    private static void offsets(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 10);
        Thread.sleep(20);
        long between = System.currentTimeMillis();
        Thread.sleep(20);
        Scope.send(producer, topic, "t", 10);
        DefaultMQPullConsumer consumer = scope.pullConsumer(scope.name("group"));
        consumer.start();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        Check.same(0L, consumer.minOffset(queue), "first offset");
        Check.same(20L, consumer.maxOffset(queue), "end");
        Check.same(10L, consumer.searchOffset(queue, between), "first offset after " + between);
        Check.that(consumer.earliestMsgStoreTime(queue) <= between, "time of the first message");
        consumer.updateConsumeOffset(queue, 7);
        consumer.getOffsetStore().persist(queue);
        Check.eventually("offset 7", () -> consumer.fetchConsumeOffset(queue, true) == 7);
    }

    private static void subscribe(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultLitePullConsumer consumer = scope.litePullConsumer(scope.name("group"));
        consumer.subscribe(topic, "t");
        consumer.start();
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 100);
        Scope.send(producer, topic, "other", 10);
        Set<String> bodies = new TreeSet<>();
        Check.eventually("100 messages", () -> {
            bodies.addAll(poll(consumer));
            return bodies.size() == 100;
        });
    }

    private static void assign(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        Scope.send(scope.producer(), topic, "t", 50);
        DefaultLitePullConsumer consumer = scope.litePullConsumer(group);
        consumer.setAutoCommit(false);
        consumer.start();
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        MessageQueue queue = queues.iterator().next();
        consumer.assign(queues);
        // To the end first: what a pull brings while the client seeks it may still give out.
        List<String> all = new ArrayList<>();
        Check.eventually("50 messages", () -> {
            all.addAll(poll(consumer));
            return all.size() == 50;
        });
        consumer.seek(queue, 30);
        List<String> bodies = new ArrayList<>();
        Check.eventually("20 messages", () -> {
            bodies.addAll(poll(consumer));
            return bodies.size() >= 20;
        });
        Check.same("30", bodies.get(0), "first message after the seek");
        consumer.commitSync();
        Check.eventually("offset 50 is kept", () -> consumer.committed(queue) == 50);
        consumer.shutdown();

        DefaultLitePullConsumer next = scope.litePullConsumer(group);
        next.start();
        next.assign(queues);
        Scope.send(scope.producer(), topic, "t", 3);
        List<String> rest = new ArrayList<>();
        Check.eventually("3 messages", () -> {
            rest.addAll(poll(next));
            return rest.size() >= 3;
        });
        Check.same(List.of("0", "1", "2"), rest, "messages after the committed offset");
    }

    private static List<String> poll(DefaultLitePullConsumer consumer) {
        List<MessageExt> messages = consumer.poll(POLL_MILLIS);
        return messages.stream().map(Scope::body).collect(Collectors.toList());
    }
}
