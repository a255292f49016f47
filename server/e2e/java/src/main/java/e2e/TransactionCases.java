package e2e;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Transactional messages: seen when they are committed, and only then. */
final class TransactionCases implements Suite {
    private static final int QUIET_MILLIS = 3_000; // three checks

    @Override
    public void declare(Cases cases) {
        cases.add("transaction: committed, rolled back, and decided when the broker asks", TransactionCases::decided);
        cases.addCrashing("transaction: committed and rolled back after a kill", TransactionCases::endedAfterCrash);
        cases.addCrashing("transaction: the broker asks again after a kill", TransactionCases::askedAfterCrash);
        cases.addCrashing("transaction: another producer of the group is asked for one that is gone", TransactionCases::anotherIsAsked);
    }

    /** Decides by the words in a body: the first when the message is stored, the last when the broker asks. */
    private static final class Decisions implements TransactionListener {
        final Collection<String> asked = new ConcurrentLinkedQueue<>();
        private final Function<String, LocalTransactionState> decide;
        private final Function<String, LocalTransactionState> answer;

        Decisions(Function<String, LocalTransactionState> decide, Function<String, LocalTransactionState> answer) {
            this.decide = decide;
            this.answer = answer;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return decide.apply(new String(message.getBody(), StandardCharsets.UTF_8));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            asked.add(message.getTopic() + " " + Scope.body(message));
            return answer.apply(Scope.body(message));
        }
    }

    private static LocalTransactionState state(String word) {
        switch (word) {
            case "commit":
                return LocalTransactionState.COMMIT_MESSAGE;
            case "rollback":
                return LocalTransactionState.ROLLBACK_MESSAGE;
            default:
                return LocalTransactionState.UNKNOW;
        }
    }

    private static LocalTransactionState first(String body) {
        return state(body.split(" ")[0]);
    }

    private static LocalTransactionState last(String body) {
        return state(body.substring(body.lastIndexOf(' ') + 1));
    }

    private static TransactionMQProducer producer(Scope scope, String group, TransactionListener listener) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setTransactionListener(listener);
        return scope.started(producer);
    }

    private static void send(TransactionMQProducer producer, String topic, String... bodies) throws Exception {
        for (String body : bodies) {
            Scope.stored(producer.sendMessageInTransaction(Scope.message(topic, "t", body), null));
        }
    }

    /** Waits until these have arrived, and for a while whether something else does. */
    private static void expect(Scope scope, Received received, String... bodies) throws Exception {
        received.awaitAll(Arrays.asList(bodies));
        Thread.sleep(QUIET_MILLIS);
        Check.same(Set.of(bodies), Set.copyOf(received.bodies()), "messages that arrived");
        if (!scope.servers.kind.stockBroker) { // which delivers again when a check and an end cross
            Check.same(bodies.length, received.messages().size(), "how many arrived");
        }
        for (MessageExt m : received.messages()) {
            Check.same("true", m.getProperty(MessageConst.PROPERTY_TRANSACTION_PREPARED), "property of a message that was committed");
        }
    }

    private static void decided(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Received received = new Received(scope, topic, "*");
        Decisions decisions = new Decisions(TransactionCases::first, TransactionCases::last);
        TransactionMQProducer producer = producer(scope, scope.name("producer"), decisions);
        send(producer, topic, "commit", "rollback", "unknown, then commit", "unknown, then rollback");
        Check.eventually("both are asked for", () -> decisions.asked.contains(topic + " unknown, then commit")
            && decisions.asked.contains(topic + " unknown, then rollback"));
        expect(scope, received, "commit", "unknown, then commit");
    }

    private static void endedAfterCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Received received = new Received(scope, topic, "*");
        Decisions decisions = new Decisions(body -> {
            if (body.equals("commit")) {
                crash(scope); // between the message and its end
            }
            return first(body);
        }, TransactionCases::last);
        TransactionMQProducer producer = producer(scope, scope.name("producer"), decisions);
        send(producer, topic, "commit", "rollback");
        expect(scope, received, "commit");
    }

    private static void crash(Scope scope) {
        try {
            scope.crash();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static void askedAfterCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        Received received = new Received(scope, topic, "*");
        AtomicBoolean crashed = new AtomicBoolean();
        Decisions decisions = new Decisions(TransactionCases::first, body -> crashed.get() ? last(body) : LocalTransactionState.UNKNOW);
        TransactionMQProducer producer = producer(scope, scope.name("producer"), decisions);
        send(producer, topic, "unknown, then commit", "unknown, then rollback");
        Check.eventually("the broker asks", () -> decisions.asked.size() >= 2);
        scope.crash();
        crashed.set(true);
        decisions.asked.clear();
        Check.eventually("the broker asks again", () -> Set.copyOf(decisions.asked).size() == 2);
        expect(scope, received, "unknown, then commit");
    }

    private static void anotherIsAsked(Scope scope) throws Exception {
        String topic = scope.topic(2);
        String group = scope.name("producer");
        Received received = new Received(scope, topic, "*");
        TransactionMQProducer first = producer(scope, group, new Decisions(TransactionCases::first, body -> LocalTransactionState.UNKNOW));
        send(first, topic, "unknown, then commit", "unknown, then rollback");
        first.shutdown();
        scope.crash();
        Decisions decisions = new Decisions(TransactionCases::first, TransactionCases::last);
        // A producer is known to brokers that it has sent to.
        send(producer(scope, group, decisions), topic, "commit");
        Check.eventually("the other producer is asked for both", () -> Set.copyOf(decisions.asked).size() == 2);
        expect(scope, received, "commit", "unknown, then commit");
    }
}
