package e2e;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers in order: each queue has one owner, whatever happens to consumers and the broker. */
final class OrderCases implements Suite {
    private static final int QUEUES = 4;
    private static final int EACH = 20; // messages of a queue, at each step
    private static final int SUSPEND_MILLIS = 20;

    @Override
    public void declare(Cases cases) {
        cases.add("order: a message that fails too often ends among the dead letters, its queue goes on", OrderCases::givenUp);
        cases.addCrashing("order: kept while queues wait, move between consumers, and the broker is killed", OrderCases::kept);
    }

    /** What the consumers of a group saw, all together. Numbers of a queue begin at 0. */
    private static final class Sequence {
        final Map<Integer, List<Integer>> seen = new ConcurrentHashMap<>();
        final Collection<String> faults = new ConcurrentLinkedQueue<>();
        final Set<String> suspended = ConcurrentHashMap.newKeySet();
        private final Map<Integer, String> owners = new ConcurrentHashMap<>(); // of queues in which a message is being handled
        private final Map<String, Set<Integer>> queues = new ConcurrentHashMap<>(); // that a consumer has handled messages of

        ConsumeOrderlyStatus take(String consumer, MessageExt m) throws InterruptedException {
            int queue = m.getQueueId();
            int number = Integer.parseInt(Scope.body(m));
            String other = owners.put(queue, consumer);
            if (other != null) {
                faults.add("queue " + queue + " is handled by " + consumer + " and " + other + " at once");
            }
            try {
                if (number % 7 == 3 && suspended.add(queue + "-" + number)) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                List<Integer> before = seen.computeIfAbsent(queue, q -> new CopyOnWriteArrayList<>());
                int next = before.stream().mapToInt(n -> n + 1).max().orElse(0);
                if (number > next) { // one that was handled before may come again
                    faults.add("queue " + queue + ": " + number + " came before " + next);
                }
                before.add(number);
                queues.computeIfAbsent(consumer, c -> ConcurrentHashMap.newKeySet()).add(queue);
                return ConsumeOrderlyStatus.SUCCESS;
            } finally {
                owners.remove(queue);
            }
        }

        /** Waits until each queue's messages up to this one were handled. */
        void await(int count) throws Exception {
            Check.eventually(count + " messages of each queue; faults: " + faults, () -> seen.size() == QUEUES
                && seen.values().stream().allMatch(numbers -> new TreeSet<>(numbers).size() == count));
        }

        int queuesOf(String consumer) {
            return queues.getOrDefault(consumer, Set.of()).size();
        }

        void forgetQueues() {
            queues.clear();
        }
    }

    private static DefaultMQPushConsumer start(Scope scope, String group, String topic, Sequence sequence, String name) throws Exception {
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setSuspendCurrentQueueTimeMillis(SUSPEND_MILLIS);
        consumer.registerMessageListener((MessageListenerOrderly) (batch, context) -> {
            try {
                return sequence.take(name, batch.get(0));
            } catch (InterruptedException e) {
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
        });
        consumer.start();
        return consumer;
    }

    /** Sends the numbers from one on to each queue, in order. */
    private static int send(DefaultMQProducer producer, String broker, String topic, int from) throws Exception {
        for (int number = from; number < from + EACH; number++) {
            for (int queue = 0; queue < QUEUES; queue++) {
                Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(number)),
                    new MessageQueue(topic, broker, queue));
            }
        }
        return from + EACH;
    }

    private static void kept(Scope scope) throws Exception {
        String topic = scope.narrowTopic(QUEUES);
        String group = scope.name("group");
        String broker = scope.servers.brokerName();
        DefaultMQProducer producer = scope.producer();
        Sequence sequence = new Sequence();
        DefaultMQPushConsumer first = start(scope, group, topic, sequence, "first");
        sequence.await(send(producer, broker, topic, 0));
        start(scope, group, topic, sequence, "second");
        int[] sent = {EACH};
        Check.eventually("two consumers with two queues each", () -> {
            sequence.forgetQueues();
            sent[0] = send(producer, broker, topic, sent[0]);
            sequence.await(sent[0]);
            return sequence.queuesOf("first") == 2 && sequence.queuesOf("second") == 2;
        });
        scope.crash();
        sent[0] = send(producer, broker, topic, sent[0]);
        sequence.await(sent[0]);
        first.shutdown();
        sequence.forgetQueues();
        sent[0] = send(producer, broker, topic, sent[0]);
        sequence.await(sent[0]);
        Check.same(QUEUES, sequence.queuesOf("second"), "queues of the consumer that is left");
        Check.that(!sequence.suspended.isEmpty(), "no queue has waited");
        if (!scope.servers.kind.stockBroker) { // which forgets who owns what
            Check.that(sequence.faults.isEmpty(), "out of order: " + sequence.faults);
        }
    }

    private static void givenUp(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        List<String> seen = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setSuspendCurrentQueueTimeMillis(SUSPEND_MILLIS);
        consumer.registerMessageListener((MessageListenerOrderly) (batch, context) -> {
            seen.add(Scope.body(batch.get(0)));
            return Scope.body(batch.get(0)).equals("3") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        Scope.send(scope.producer(), topic, "t", 6);
        Received letters = new Received(scope, scope.awaitStored("%DLQ%" + group, 1), "*");
        letters.awaitNumbers(3, 4);
        Check.eventually("the rest is handled", () -> seen.contains("5"));
        Check.same(List.of("0", "1", "2", "3", "3", "3", "4", "5"), seen, "messages in order");
    }
}
