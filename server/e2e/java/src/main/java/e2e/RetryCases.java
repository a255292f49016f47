package e2e;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that a consumer can't handle: tried again, and in the end dead letters. */
final class RetryCases implements Suite {
    private static final int COUNT = 10;
    private static final int LEVEL_TWO = 2; // of two seconds
    private static final int LONG_LEVEL = 18; // of ten seconds
    private static final int MANY = 1_000;

    @Override
    public void declare(Cases cases) {
        cases.add("retry: a message that fails comes again, with its count and its topic", RetryCases::counted);
        cases.add("retry: a consumer gives a message up at once", RetryCases::givenUp);
        cases.addCrashing("retry: what failed before a kill is tried again after it", RetryCases::overCrash);
        if (cases.servers().kind.allApogee()) {
            cases.addCrashing("retry: apogee admin track tells of each group what it has done, also after a kill", RetryCases::tracked);
        }
        cases.addCrashing("retry: what nobody can handle ends among the dead letters, which outlive a kill", RetryCases::deadLetters);
    }

    /** What a consumer does with one message. */
    private interface Handler {
        boolean handles(MessageExt message, ConsumeConcurrentlyContext context);
    }

    private static void start(DefaultMQPushConsumer consumer, String topic, Handler handler) throws Exception {
        consumer.subscribe(topic, "*");
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> batch.stream()
            .allMatch(m -> handler.handles(m, context)) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        consumer.start();
    }

    private static void counted(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Map<String, List<Integer>> tries = new ConcurrentHashMap<>();
        Collection<String> faults = new ConcurrentLinkedQueue<>();
        start(scope.pushConsumer(scope.name("group")), topic, (m, context) -> {
            tries.computeIfAbsent(Scope.body(m), b -> new CopyOnWriteArrayList<>()).add(m.getReconsumeTimes());
            if (!topic.equals(m.getTopic()) || !"red".equals(m.getTags())) {
                faults.add(m.toString());
            }
            return m.getReconsumeTimes() == 2;
        });
        Scope.send(scope.producer(), topic, "red", COUNT);
        Check.eventually("three tries of each message", () -> tries.values().stream().filter(List.of(0, 1, 2)::equals).count() == COUNT);
        Check.that(faults.isEmpty(), "not as it was sent: " + faults);
    }

    private static void overCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        String group = scope.name("group");
        AtomicBoolean repaired = new AtomicBoolean();
        Collection<MessageExt> broken = new ConcurrentLinkedQueue<>();
        Collection<MessageExt> done = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.setMaxReconsumeTimes(MANY);
        start(consumer, topic, (m, context) -> {
            context.setDelayLevelWhenNextConsume(LEVEL_TWO);
            (repaired.get() ? done : broken).add(m);
            return repaired.get();
        });
        Scope.send(scope.producer(), topic, "t", COUNT);
        Check.eventually("each message has failed", () -> bodies(broken).size() == COUNT);
        scope.crash();
        repaired.set(true);
        Check.eventually("each message is handled", () -> bodies(done).size() == COUNT);
        for (MessageExt m : done) {
            Check.that(m.getReconsumeTimes() > 0, "a first try after all: " + m);
            Check.same(topic, m.getTopic(), "topic");
        }
    }

    private static Collection<String> bodies(Collection<MessageExt> messages) {
        return messages.stream().map(Scope::body).collect(Collectors.toSet());
    }

    private static void deadLetters(Scope scope) throws Exception {
        String topic = scope.topic(2);
        String group = scope.name("group");
        Map<String, List<Integer>> tries = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.setMaxReconsumeTimes(1);
        start(consumer, topic, (m, context) -> {
            tries.computeIfAbsent(Scope.body(m), b -> new CopyOnWriteArrayList<>()).add(m.getReconsumeTimes());
            return false;
        });
        Scope.send(scope.producer(), topic, "t", COUNT);
        String dead = "%DLQ%" + group;
        scope.awaitStored(dead, COUNT);
        Check.eventually("two tries of each message", () -> tries.values().stream().filter(List.of(0, 1)::equals).count() == COUNT);
        scope.crash();
        Received letters = new Received(scope, dead, "*");
        letters.awaitNumbers(COUNT);
        for (MessageExt m : letters.messages()) {
            Check.same(topic, m.getProperty(MessageConst.PROPERTY_RETRY_TOPIC), "topic that a dead letter comes from");
            Check.same(2, m.getReconsumeTimes(), "tries of a dead letter");
            Check.that(m.getProperty(MessageConst.PROPERTY_ORIGIN_MESSAGE_ID) != null, "origin of " + m);
        }
    }

    private static void tracked(Scope scope) throws Exception {
        String topic = scope.topic(1);
        String reads = scope.name("reads");
        String fails = scope.name("fails");
        String gives = scope.name("givesup");
        String id = Scope.stored(scope.producer().send(Scope.message(topic, "t", "0"))).getMsgId();
        start(scope.pushConsumer(reads), topic, (m, context) -> true);
        start(scope.pushConsumer(fails), topic, (m, context) -> {
            context.setDelayLevelWhenNextConsume(LONG_LEVEL);
            return false;
        });
        start(scope.pushConsumer(gives), topic, (m, context) -> {
            context.setDelayLevelWhenNextConsume(-1);
            return false;
        });
        String[] want = {reads + "\\s.*acknowledged", fails + "\\s.*retrying", gives + "\\s+dead\\b"};
        scope.servers.awaitPrinted(want, "track", id, "--topic", topic);
        scope.crash();
        scope.servers.awaitPrinted(want, "track", id, "--topic", topic);
    }

    private static void givenUp(Scope scope) throws Exception {
        String topic = scope.topic(1);
        String group = scope.name("group");
        start(scope.pushConsumer(group), topic, (m, context) -> {
            context.setDelayLevelWhenNextConsume(-1);
            return false;
        });
        Scope.send(scope.producer(), topic, "t", COUNT);
        new Received(scope, scope.awaitStored("%DLQ%" + group, COUNT), "*").awaitNumbers(COUNT);
    }
}
