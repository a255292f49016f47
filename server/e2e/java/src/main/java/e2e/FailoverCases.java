package e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * What goes on while the process that led is away: others lead, and clients find them by their routes. Cases with a kill in other
 * suites begin again when it is back, so that clients with old routes meet a follower there.
 */
final class FailoverCases implements Suite {
    private static final int SOME = 200;
    private static final int POLL_MILLIS = 500;
    private static final int QUIET_MILLIS = 3_000;
    private static final int GATHERED_MILLIS = 500; // offsets are gathered for a tenth of a second
    private static final int TRIES = 10;

    @Override
    public void declare(Cases cases) {
        if (!cases.servers().kind.replicated()) {
            return;
        }
        cases.addAlone("failover: producers and consumers go on without the leader, nothing confirmed is missing", FailoverCases::load);
        cases.addAlone("failover: leadership is handed over under load, twice, nothing confirmed is missing", FailoverCases::handedOver);
        cases.addAlone("failover: the new leader asks for a transaction, once it ends it is delivered once", FailoverCases::transaction);
        cases.addAlone("failover: a consumer goes on at its offset, a delayed message comes once and not early", FailoverCases::progress);
    }

    private static DefaultMQProducer producer(Scope scope) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(scope.name("producer"));
        producer.setPollNameServerInterval(POLL_MILLIS);
        return scope.started(producer);
    }

    private static void load(Scope scope) throws Exception {
        Replicas servers = (Replicas) scope.servers;
        String topic = scope.topic(4);
        Received received = new Received(scope, topic, "*");
        Load load = new Load(producer(scope), topic);
        try (load) {
            load.await(SOME);
            servers.loseLeader();
            load.await(SOME);
            servers.bringBack();
            load.await(SOME);
        }
        received.awaitAll(new ArrayList<>(load.confirmed));
    }

    private static void handedOver(Scope scope) throws Exception {
        String topic = scope.topic(4);
        Received received = new Received(scope, topic, "*");
        Load load = new Load(scope.producer(), topic); // which doesn't look at routes meanwhile
        try (load) {
            load.await(SOME);
            for (int i = 0; i < 2; i++) {
                ((Replicas) scope.servers).handOver();
                load.await(SOME);
            }
        }
        received.awaitAll(new ArrayList<>(load.confirmed));
    }

    /** Says nothing at first; asked, it says so until it may commit. */
    private static final class Patient implements TransactionListener {
        final Collection<String> asked = new ConcurrentLinkedQueue<>();
        volatile LocalTransactionState answer = LocalTransactionState.UNKNOW;

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return LocalTransactionState.UNKNOW;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            asked.add(Scope.body(message));
            return answer;
        }
    }

    private static void transaction(Scope scope) throws Exception {
        Replicas servers = (Replicas) scope.servers;
        String topic = scope.narrowTopic(2); // on the broker that loses its leader
        Received received = new Received(scope, topic, "*");
        Patient listener = new Patient();
        TransactionMQProducer producer = new TransactionMQProducer(scope.name("producer"));
        producer.setTransactionListener(listener);
        producer.setPollNameServerInterval(POLL_MILLIS);
        scope.started(producer);
        for (int i = 0; i < 3; i++) {
            Scope.stored(producer.sendMessageInTransaction(Scope.message(topic, "t", Integer.toString(i)), null));
        }
        servers.loseLeader();
        listener.asked.clear();
        Check.eventually("the new leader asks for each", () -> Set.copyOf(listener.asked).size() == 3);
        Check.same(List.of(), received.bodies(), "messages before the end of their transactions");
        listener.answer = LocalTransactionState.COMMIT_MESSAGE;
        received.awaitNumbers(3);
        servers.bringBack();
        Thread.sleep(QUIET_MILLIS);
        received.awaitNumbers(3);
    }

    /** A client of 5.x doesn't start where the nameserver that it tries first is gone; it tries any of them. */
    private static Received started(Scope scope, String group, String topic) throws Exception {
        for (int tries = 1; ; tries++) {
            try {
                return new Received(scope.pushConsumer(group), topic, "*");
            } catch (IllegalStateException e) {
                if (tries == TRIES) {
                    throw e;
                }
            }
        }
    }

    private static void progress(Scope scope) throws Exception {
        Replicas servers = (Replicas) scope.servers;
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        DefaultMQProducer producer = producer(scope);
        Scope.send(producer, topic, "t", 20);
        Received before = new Received(scope.pushConsumer(group), topic, "*");
        before.awaitNumbers(20);
        before.consumer.shutdown();
        Thread.sleep(GATHERED_MILLIS);
        Message late = Scope.message(topic, "t", "20");
        late.setDelayTimeLevel(18);
        Scope.stored(producer.send(late));
        servers.loseLeader();
        for (int i = 21; i < 30; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), new MessageQueue(topic, servers.brokerName(), 0));
        }
        Received after = started(scope, group, topic);
        after.awaitNumbers(20, 30);
        MessageExt last = after.messages().stream().filter(m -> Scope.body(m).equals("20")).findFirst().orElseThrow();
        Check.that(last.getStoreTimestamp() - last.getBornTimestamp() >= 10_000, "came early: " + last);
        servers.bringBack();
        Thread.sleep(QUIET_MILLIS);
        after.awaitNumbers(20, 30);
    }
}
