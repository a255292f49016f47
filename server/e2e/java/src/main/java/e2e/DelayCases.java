package e2e;

import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that wait: for a level's delay or for a time. Clients of 4.x have no methods for times, but may set the properties. */
final class DelayCases implements Suite {
    private static final int ROUNDED_MILLIS = 2_000; // RocketMQ rounds times down, and full seconds by one more
    private static final String[] TIMES = {"TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"};

    @Override
    public void declare(Cases cases) {
        cases.add("delay: a time in the past is no delay", DelayCases::past);
        cases.add("delay: a time too far ahead is refused", DelayCases::farAhead);
        cases.addCrashing("delay: levels, never early, once, also over a kill", DelayCases::levels);
        cases.addCrashing("delay: times, never early, once, also over a kill", DelayCases::times);
        if (Arrays.stream(DefaultMQProducer.class.getMethods()).anyMatch(m -> m.getName().equals("recallMessage"))) {
            cases.addCrashing("delay: a message is recalled after a kill", DelayCases::recall);
        }
    }

    private static Message timed(String topic, String body, String property, long value) {
        Message message = Scope.message(topic, "t", body);
        MessageAccessor.putProperty(message, property, Long.toString(value));
        return message;
    }

    /** Each came once, and not before it was to come. Waits are by body, in milliseconds. */
    private static void check(Scope scope, Received received, Map<String, Long> waits) throws Exception {
        if (scope.servers.kind.stockBroker) {
            received.awaitAll(waits.keySet());
        } else {
            received.awaitNumbers(waits.size());
        }
        int tolerance = scope.servers.kind.stockBroker ? ROUNDED_MILLIS : 0;
        for (MessageExt m : received.messages()) {
            long waited = m.getStoreTimestamp() - m.getBornTimestamp();
            Check.that(waited >= waits.get(Scope.body(m)) - tolerance, Scope.body(m) + " came after " + waited + " ms: " + m);
            Check.same("t", m.getTags(), "tag");
        }
    }

    private static void levels(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        int[] levels = {1, 2, 18, 99}; // what is more than the last level is the last level
        for (int i = 0; i < levels.length; i++) {
            Message message = Scope.message(topic, "t", Integer.toString(i));
            message.setDelayTimeLevel(levels[i]);
            Scope.stored(producer.send(message));
        }
        scope.crash();
        check(scope, received, Map.of("0", 1_000L, "1", 2_000L, "2", 10_000L, "3", 10_000L));
    }

    private static void times(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        long due = System.currentTimeMillis() + 12_345;
        Scope.stored(producer.send(timed(topic, "0", TIMES[0], 3)));
        Scope.stored(producer.send(timed(topic, "1", TIMES[1], 2_500)));
        Scope.stored(producer.send(timed(topic, "2", TIMES[2], due)));
        Scope.stored(producer.send(timed(topic, "3", TIMES[0], 9)));
        scope.crash();
        check(scope, received, Map.of("0", 3_000L, "1", 2_500L, "2", 0L, "3", 9_000L)); // when 2 is due says nothing of how long it waits
        MessageExt last = received.messages().stream().filter(m -> Scope.body(m).equals("2")).findFirst().orElseThrow();
        int tolerance = scope.servers.kind.stockBroker ? ROUNDED_MILLIS : 0;
        Check.that(last.getStoreTimestamp() >= due - tolerance, "came before " + due + ": " + last);
    }

    private static void past(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Scope.stored(producer.send(timed(topic, "0", TIMES[2], System.currentTimeMillis() - 60_000)));
        Scope.stored(producer.send(timed(topic, "1", TIMES[2], 1)));
        new Received(scope, topic, "*").awaitNumbers(2);
    }

    private static void farAhead(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Exception cause = Check.refused("a year", () -> producer.send(timed(topic, "0", TIMES[0], 365 * 86_400)));
        Check.contains(cause.toString(), "CODE: 13");
    }

    private static void recall(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        long due = System.currentTimeMillis() + (scope.servers.kind.stockBroker ? 75_000 : 30_000); // which stops slowly
        SendResult unwanted = Scope.stored(producer.send(timed(topic, "unwanted", TIMES[2], due)));
        Scope.stored(producer.send(timed(topic, "0", TIMES[2], due)));
        scope.crash();
        Check.same(unwanted.getMsgId(), recall(producer, topic, handle(unwanted)), "unique id of what was recalled");
        if (!scope.servers.kind.stockBroker) { // which says yes each time
            Exception cause = Check.refused("a second recall", () -> recall(producer, topic, handle(unwanted)));
            Check.contains(cause.toString(), "CODE: 604");
        }
        received.awaitNumbers(1);
        Scope.stored(producer.send(Scope.message(topic, "t", "1")));
        received.awaitNumbers(2);
    }

    // Clients before 5.3.2 don't have these two, so they can't be named here.

    private static String handle(SendResult result) throws ReflectiveOperationException {
        return (String) SendResult.class.getMethod("getRecallHandle").invoke(result);
    }

    private static String recall(DefaultMQProducer producer, String topic, String handle) throws Exception {
        try {
            return (String) DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class).invoke(producer, topic, handle);
        } catch (InvocationTargetException e) {
            throw (Exception) e.getCause();
        }
    }
}
