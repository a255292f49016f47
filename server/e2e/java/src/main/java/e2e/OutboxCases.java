package e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Clients whose nameserver is an outbox, while everything behind it is gone. */
final class OutboxCases implements Suite {
    private static final int WRITERS = 4;
    private static final int SOME = 100;
    private static final int PAUSE_MILLIS = 20;
    /** What a kill may leave in doubt of each writer: what was under way, and what was delivered and not noted. */
    private static final int COPIES_OF_A_KILL = 3;

    @Override
    public void declare(Cases cases) {
        if (cases.servers().kind != Kind.APOGEE_OUTBOX) {
            return;
        }
        cases.addAlone("outbox: all brokers and nameservers are killed under load, and the outbox twice: everything arrives in order", OutboxCases::everything);
        cases.addAlone("outbox: a message that is kept is found, and comes with its id, tag, keys and properties", OutboxCases::kept);
        cases.addAlone("outbox: half messages are refused while nobody can ask for their outcome", OutboxCases::transaction);
    }

    /** Sends numbers to one queue, each after the answer to the one before; what fails isn't sent again. */
    private static final class Writer implements AutoCloseable {
        final Map<Integer, String> confirmed = new ConcurrentHashMap<>(); // unique ids
        private final AtomicBoolean closed = new AtomicBoolean();
        private final Thread thread;

        Writer(DefaultMQProducer producer, MessageQueue queue) {
            thread = new Thread(() -> {
                for (int i = 0; !closed.get(); i++) {
                    try {
                        SendResult result = producer.send(Scope.message(queue.getTopic(), "t", Integer.toString(i)), queue);
                        if (result.getSendStatus() == SendStatus.SEND_OK) {
                            confirmed.put(i, result.getMsgId());
                            continue;
                        }
                        Thread.sleep(PAUSE_MILLIS);
                    } catch (InterruptedException e) {
                        return;
                    } catch (Exception e) {
                        pause(); // it was not confirmed: nobody is there
                    }
                }
            }, "writer");
            thread.setDaemon(true);
            thread.start();
        }

        private static void pause() {
            try {
                Thread.sleep(PAUSE_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() throws InterruptedException {
            closed.set(true);
            thread.join();
        }
    }

    private static void goOn(List<Writer> writers, String when) throws Exception {
        for (Writer writer : writers) {
            int want = writer.confirmed.size() + SOME;
            Check.eventually(when + ": " + SOME + " more messages are confirmed", () -> writer.confirmed.size() >= want);
        }
    }

    private static void everything(Scope scope) throws Exception {
        BehindOutbox servers = (BehindOutbox) scope.servers;
        String topic = scope.topic(WRITERS);
        Map<Integer, Collection<MessageExt>> arrived = consume(scope, topic);
        List<Writer> writers = new ArrayList<>();
        for (int queue = 0; queue < WRITERS; queue++) {
            DefaultMQProducer producer = scope.producer();
            writers.add(new Writer(producer, new MessageQueue(topic, servers.brokerName(), queue)));
        }
        goOn(writers, "with the cluster");
        servers.killCluster();
        goOn(writers, "without the cluster");
        servers.killAgent();
        servers.startAgent();
        goOn(writers, "after the outbox was killed");
        servers.startCluster();
        servers.killAgent(); // while it delivers
        servers.startAgent();
        goOn(writers, "with the cluster again");
        for (Writer writer : writers) {
            writer.close();
        }
        servers.awaitEmpty();
        for (int queue = 0; queue < WRITERS; queue++) {
            judge(queue, writers.get(queue).confirmed, arrived.get(queue));
        }
    }

    private static Map<Integer, Collection<MessageExt>> consume(Scope scope, String topic) throws Exception {
        Map<Integer, Collection<MessageExt>> arrived = new HashMap<>();
        for (int queue = 0; queue < WRITERS; queue++) {
            arrived.put(queue, new ConcurrentLinkedQueue<>());
        }
        DefaultMQPushConsumer consumer = scope.pushConsumer(scope.name("group"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (batch, context) -> {
            batch.forEach(m -> arrived.get(m.getQueueId()).add(m));
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        return arrived;
    }

    /** Everything that was confirmed has come, with its id; in order, but for copies of what was in doubt. */
    private static void judge(int queue, Map<Integer, String> confirmed, Collection<MessageExt> arrived) throws Exception {
        Check.eventually("everything of queue " + queue + " arrives", () -> {
            Map<Integer, String> left = new HashMap<>(confirmed);
            arrived.forEach(m -> left.remove(Integer.parseInt(Scope.body(m))));
            return left.isEmpty();
        });
        Map<Integer, String> ids = new HashMap<>();
        Map<Long, Integer> offsets = new HashMap<>(); // what a consumer sees again has its old offset, and is no copy
        int last = -1;
        int copies = 0;
        for (MessageExt m : arrived) {
            int number = Integer.parseInt(Scope.body(m));
            if (offsets.put(m.getQueueOffset(), number) != null) {
                continue;
            }
            String id = m.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX);
            String before = ids.put(number, id);
            if (before != null) {
                Check.same(before, id, "id of the copy of " + number + " in queue " + queue);
                copies++;
                continue;
            }
            Check.that(number > last, "queue " + queue + ": " + number + " came after " + last);
            last = number;
        }
        confirmed.forEach((number, id) -> Check.same(id, ids.get(number), "id of " + number + " in queue " + queue));
        Check.that(copies <= 3 * COPIES_OF_A_KILL, copies + " copies in queue " + queue);
    }

    private static void kept(Scope scope) throws Exception {
        BehindOutbox servers = (BehindOutbox) scope.servers;
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        Scope.send(producer, topic, "t", 1);
        received.awaitNumbers(1);
        servers.killCluster();
        Message message = Scope.message(topic, "red", "1");
        message.setKeys("kept-key");
        message.putUserProperty("color", "bläulich");
        SendResult result = Scope.stored(producer.send(message));
        Check.same(-1L, result.getQueueOffset(), "offset of a message that is kept");
        Check.same("1", Scope.body(producer.viewMessage(topic, result.getOffsetMsgId())), "found where it is kept");
        long now = System.currentTimeMillis();
        Check.same(1, producer.queryMessage(topic, "kept-key", 8, now - 600_000, now + 600_000).getMessageList().size(), "messages by key");
        servers.startCluster();
        received.awaitNumbers(2);
        MessageExt got = received.messages().stream().filter(m -> Scope.body(m).equals("1")).findFirst().orElseThrow();
        Check.same(result.getMsgId(), got.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX), "unique id");
        Check.same("red", got.getTags(), "tag");
        Check.same("kept-key", got.getKeys(), "keys");
        Check.same("bläulich", got.getUserProperty("color"), "property");
    }

    private static void transaction(Scope scope) throws Exception {
        BehindOutbox servers = (BehindOutbox) scope.servers;
        String topic = scope.topic(1);
        TransactionMQProducer producer = new TransactionMQProducer(scope.name("producer"));
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        scope.started(producer);
        Received received = new Received(scope, topic, "*");
        Scope.stored(producer.sendMessageInTransaction(Scope.message(topic, "t", "0"), null));
        received.awaitNumbers(1);
        servers.killCluster();
        Throwable cause = Check.refused("a half message", () -> producer.sendMessageInTransaction(Scope.message(topic, "t", "refused"), null));
        while (cause.getCause() != null && !(cause instanceof MQBrokerException)) {
            cause = cause.getCause();
        }
        Check.contains(cause.toString(), "CODE: 14");
        servers.startCluster();
        Check.eventually("a transaction with the cluster again", () -> producer.sendMessageInTransaction(Scope.message(topic, "t", "1"), null)
            .getSendStatus() == SendStatus.SEND_OK);
        received.awaitNumbers(2);
    }
}
