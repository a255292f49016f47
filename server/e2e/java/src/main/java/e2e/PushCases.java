package e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** Push consumers: concurrent, orderly, broadcast, tags, and how several share the queues. */
final class PushCases implements Suite {
    @Override
    public void declare(Cases cases) {
        cases.add("push: concurrent, everything once", PushCases::concurrent);
        cases.add("push: a message that arrives wakes a waiting consumer", PushCases::wakes);
        cases.add("push: orderly, in the order of the queue", PushCases::orderly);
        cases.add("push: orderly, a message that fails holds up its queue", PushCases::orderlyRetry);
        cases.add("push: broadcast, each consumer gets everything", PushCases::broadcast);
        cases.addCrashing("push: broadcast, a consumer that was away over a kill goes on where it stopped", PushCases::broadcastOffsets);
        cases.add("push: tags", PushCases::tags);
        cases.add("push: two groups don't share", PushCases::groups);
        cases.add("push: in a namespace, with a retry", PushCases::namespace);
        cases.add("push: two consumers share the queues, the second takes over", PushCases::rebalance);
    }

    private static void concurrent(Scope scope) throws Exception {
        String topic = scope.topic(4);
        Received received = new Received(scope, topic, "*");
        Scope.send(scope.producer(), topic, "t", 300);
        received.awaitNumbers(300);
    }

    private static void wakes(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        Scope.send(producer, topic, "t", 1);
        received.awaitNumbers(1);
        long best = Long.MAX_VALUE;
        for (int i = 1; i <= 10; i++) {
            long began = System.nanoTime();
            Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i))));
            int want = i + 1;
            while (received.messages().size() < want) {
                Check.that(System.nanoTime() - began < Check.PATIENCE_SECONDS * 1_000_000_000L, "message " + i + " did not come");
                Thread.sleep(1);
            }
            best = Math.min(best, System.nanoTime() - began);
        }
        // A pull that is held answers at once; one that is looked at by a timer takes seconds.
        Check.that(best < 1_000_000_000L, "the fastest of ten messages took " + best / 1_000_000 + " ms");
    }

    private static void orderly(Scope scope) throws Exception {
        String topic = scope.narrowTopic(3);
        Map<Integer, List<Integer>> seen = new ConcurrentHashMap<>();
        startOrderly(scope, topic, (queue, number) -> seen.computeIfAbsent(queue, q -> Collections.synchronizedList(new ArrayList<>())).add(number));
        DefaultMQProducer producer = scope.producer();
        for (int i = 0; i < 150; i++) {
            Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i)), (queues, m, key) -> queues.get((Integer) key % 3), i));
        }
        Check.eventually("150 messages", () -> seen.values().stream().mapToInt(List::size).sum() == 150);
        for (Map.Entry<Integer, List<Integer>> queue : seen.entrySet()) {
            List<Integer> sorted = queue.getValue().stream().sorted().collect(Collectors.toList());
            Check.same(sorted, queue.getValue(), "order in queue " + queue.getKey());
        }
    }

    private static void orderlyRetry(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        List<Integer> done = Collections.synchronizedList(new ArrayList<>());
        AtomicInteger failures = new AtomicInteger();
        startOrderly(scope, topic, (queue, number) -> {
            if (number == 5 && failures.incrementAndGet() <= 2) {
                throw new IllegalStateException("not yet");
            }
            done.add(number);
        });
        Scope.send(scope.producer(), topic, "t", 10);
        Check.eventually("10 messages", () -> done.size() == 10);
        Check.same(List.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), new ArrayList<>(done), "order");
        Check.same(3, failures.get(), "attempts of message 5");
    }

    private interface Take {
        void message(int queue, int number);
    }

    private static void startOrderly(Scope scope, String topic, Take take) throws Exception {
        DefaultMQPushConsumer consumer = scope.pushConsumer(scope.name("group"));
        consumer.subscribe(topic, "*");
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.registerMessageListener((MessageListenerOrderly) (batch, context) -> {
            for (MessageExt m : batch) {
                try {
                    take.message(m.getQueueId(), Integer.parseInt(Scope.body(m)));
                } catch (IllegalStateException e) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
    }

    private static void broadcast(Scope scope) throws Exception {
        String topic = scope.topic(4);
        String group = scope.name("group");
        List<Received> all = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = scope.pushConsumer(group);
            broadcasting(consumer);
            all.add(new Received(consumer, topic, "*"));
        }
        Scope.send(scope.producer(), topic, "t", 100);
        for (Received received : all) {
            received.awaitNumbers(100);
        }
    }

    /** Such a consumer keeps its offsets in a file of its own, by its instance name. */
    private static void broadcastOffsets(Scope scope) throws Exception {
        String topic = scope.topic(4);
        String group = scope.name("group");
        String instance = scope.name("instance");
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 50);
        Received before = new Received(broadcasting(scope, group, instance), topic, "*");
        before.awaitNumbers(50);
        before.consumer.shutdown();
        scope.crash();
        for (int i = 50; i < 70; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), null);
        }
        new Received(broadcasting(scope, group, instance), topic, "*").awaitNumbers(50, 70);
        new Received(broadcasting(scope, group, scope.name("instance")), topic, "*").awaitNumbers(70);
    }

    private static DefaultMQPushConsumer broadcasting(Scope scope, String group, String instance) {
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.setInstanceName(instance);
        broadcasting(consumer);
        return consumer;
    }

    static void broadcasting(DefaultMQPushConsumer consumer) {
        // The type of the constant lies in different packages in 4.x and 5.x.
        var model = consumer.getMessageModel();
        consumer.setMessageModel(Enum.valueOf(model.getDeclaringClass(), "BROADCASTING"));
    }

    private static void tags(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        String[] tags = {"red", "green", "blue", "AaAa", "BBBB"}; // the last two have the same hash
        for (int i = 0; i < 50; i++) {
            Scope.stored(producer.send(Scope.message(topic, tags[i % 5], Integer.toString(i))));
        }
        Received two = new Received(scope, topic, "red || blue");
        Received hash = new Received(scope, topic, "AaAa");
        Received all = new Received(scope, topic, "*");
        all.awaitNumbers(50);
        Check.eventually("20 of two tags, 10 of one", () -> two.messages().size() == 20 && hash.messages().size() == 10);
        Check.same(Set.of("red", "blue"), two.messages().stream().map(MessageExt::getTags).collect(Collectors.toSet()), "tags");
        Check.same(Set.of("AaAa"), hash.messages().stream().map(MessageExt::getTags).collect(Collectors.toSet()), "tags");
    }

    private static void groups(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Received one = new Received(scope, topic, "*");
        Received other = new Received(scope, topic, "*");
        Scope.send(scope.producer(), topic, "t", 50);
        one.awaitNumbers(50);
        other.awaitNumbers(50);
    }

    @SuppressWarnings("deprecation")
    private static void namespace(Scope scope) throws Exception {
        String topic = scope.topic(2);
        String namespace = scope.name("shop");
        DefaultMQProducer producer = new DefaultMQProducer(scope.name("producer"));
        producer.setNamespace(namespace);
        scope.started(producer);
        DefaultMQPushConsumer consumer = scope.pushConsumer(scope.name("group"));
        consumer.setNamespace(namespace);
        List<String> tries = Collections.synchronizedList(new ArrayList<>());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            MessageExt m = batch.get(0);
            tries.add(m.getTopic() + " " + Scope.body(m) + " " + m.getReconsumeTimes());
            return m.getReconsumeTimes() == 0 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Received outside = new Received(scope, topic, "*");
        Scope.send(producer, topic, "t", 3);
        consumer.start();
        Set<String> want = Set.of(topic + " 0 0", topic + " 1 0", topic + " 2 0", topic + " 0 1", topic + " 1 1", topic + " 2 1");
        Check.eventually("two tries of three messages", () -> want.equals(Set.copyOf(tries)));
        Check.same(List.of(), outside.bodies(), "messages outside of the namespace");
    }

    private static void rebalance(Scope scope) throws Exception {
        String topic = scope.narrowTopic(4);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        Received first = new Received(scope.pushConsumer(group), topic, "*");
        Scope.send(producer, topic, "t", 40);
        first.awaitNumbers(40);
        Check.same(Set.of(0, 1, 2, 3), first.byQueue().keySet(), "queues of the only consumer");

        Received second = new Received(scope.pushConsumer(group), topic, "*");
        Collection<MessageExt> gone = new ConcurrentLinkedQueue<>(first.messages());
        AtomicInteger number = new AtomicInteger(40);
        Check.eventually("both consumers get messages of two queues each", () -> {
            first.messages().clear();
            second.messages().clear();
            int from = number.getAndAdd(40);
            for (int i = from; i < from + 40; i++) {
                Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i))));
            }
            Check.eventually("40 messages", () -> distinctFrom(from, first, second) == 40);
            gone.addAll(first.messages());
            gone.addAll(second.messages());
            return first.byQueue().size() == 2 && second.byQueue().size() == 2;
        });

        first.consumer.shutdown();
        second.messages().clear();
        int from = number.get();
        for (int i = from; i < from + 40; i++) {
            Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i))));
        }
        Check.eventually("the second consumer gets messages of all queues", () -> second.byQueue().size() == 4 && second.messages().size() >= 40);
        gone.addAll(second.messages());
        Set<String> bodies = gone.stream().map(Scope::body).collect(Collectors.toSet());
        Check.same(from + 40, bodies.size(), "distinct messages consumed in all");
    }

    /** How many numbers from this one on have come; when a queue moves, earlier ones may come again. */
    private static long distinctFrom(int from, Received... all) {
        Set<String> bodies = new HashSet<>();
        for (Received received : all) {
            bodies.addAll(received.bodies());
        }
        return bodies.stream().filter(b -> Integer.parseInt(b) >= from).count();
    }
}
