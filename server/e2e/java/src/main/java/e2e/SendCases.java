package e2e;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Every way to send, and what is stored of it. */
final class SendCases implements Suite {
    private static final int MESSAGE_ILLEGAL = 13;
    private static final int BYTES_MAX = 4 << 20;

    @Override
    public void declare(Cases cases) {
        cases.add("send: sync, each at the next offset of its queue", SendCases::sync);
        cases.add("send: async", SendCases::async);
        cases.add("send: one-way", SendCases::oneWay);
        cases.add("send: batch", SendCases::batch);
        cases.add("send: to the queue that a selector chooses", SendCases::selected);
        cases.add("send: keys, properties, tag and flag come back", SendCases::properties);
        cases.add("send: a body that the client compresses, and one of 3 MiB", SendCases::largeBodies);
        cases.add("send: through the fast port", SendCases::fastPort);
        cases.add("send: a message over the limit is refused, the next one taken", SendCases::tooLarge);
    }

    private static void sync(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        Map<MessageQueue, Long> next = new HashMap<>();
        Set<String> ids = new TreeSet<>();
        for (int i = 0; i < 100; i++) {
            SendResult result = Scope.stored(producer.send(Scope.message(topic, "t", "m" + i)));
            MessageQueue queue = result.getMessageQueue();
            Check.same(next.merge(queue, 1L, Long::sum) - 1, result.getQueueOffset(), "offset in " + queue);
            ids.add(result.getMsgId());
            ids.add(result.getOffsetMsgId());
        }
        Check.same(200, ids.size(), "distinct ids");
    }

    private static void async(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        int count = 500;
        CountDownLatch answers = new CountDownLatch(count);
        Collection<Throwable> failures = new ConcurrentLinkedQueue<>();
        for (int i = 0; i < count; i++) {
            producer.send(Scope.message(topic, "t", Integer.toString(i)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    if (result.getSendStatus() != SendStatus.SEND_OK) {
                        failures.add(new AssertionError(result.toString()));
                    }
                    answers.countDown();
                }

                @Override
                public void onException(Throwable cause) {
                    failures.add(cause);
                    answers.countDown();
                }
            });
        }
        Check.that(answers.await(Check.PATIENCE_SECONDS, TimeUnit.SECONDS), answers.getCount() + " sends without an answer");
        Check.that(failures.isEmpty(), "failed: " + failures);
        new Received(scope, topic, "*").awaitNumbers(count);
    }

    private static void oneWay(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 1); // what is sent one-way before there is a connection may be dropped by the client
        for (int i = 1; i < 100; i++) {
            producer.sendOneway(Scope.message(topic, "t", Integer.toString(i)));
        }
        new Received(scope, topic, "*").awaitNumbers(100);
    }

    private static void batch(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Message message = Scope.message(topic, "t" + i % 2, Integer.toString(i));
            message.putUserProperty("number", Integer.toString(i));
            batch.add(message);
        }
        SendResult result = Scope.stored(producer.send(batch));
        Check.same(50, result.getOffsetMsgId().split(",").length, "ids of the batch");
        Received received = new Received(scope, topic, "*");
        received.awaitNumbers(50);
        for (MessageExt m : received.messages()) {
            Check.same(result.getQueueOffset() + Integer.parseInt(Scope.body(m)), m.getQueueOffset(), "offset of " + Scope.body(m));
            Check.same(Scope.body(m), m.getUserProperty("number"), "property of " + Scope.body(m));
            Check.same("t" + Integer.parseInt(Scope.body(m)) % 2, m.getTags(), "tag of " + Scope.body(m));
        }
    }

    private static void selected(Scope scope) throws Exception {
        String topic = scope.narrowTopic(4);
        DefaultMQProducer producer = scope.producer();
        for (int i = 0; i < 20; i++) {
            SendResult result = producer.send(Scope.message(topic, "t", Integer.toString(i)),
                (queues, message, key) -> queues.get((Integer) key % queues.size()), i);
            Scope.stored(result);
        }
        Received received = new Received(scope, topic, "*");
        received.awaitNumbers(20);
        for (MessageExt m : received.messages()) {
            Check.same(Integer.parseInt(Scope.body(m)) % 4, m.getQueueId(), "queue of " + Scope.body(m));
        }
    }

    private static void properties(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = scope.producer();
        Message sent = Scope.message(topic, "TagÄ", "0");
        sent.setKeys(Arrays.asList("key one", "key-two"));
        sent.setFlag(77);
        sent.putUserProperty("grüße", "日本語 😀");
        SendResult result = Scope.stored(producer.send(sent));
        Received received = new Received(scope, topic, "*");
        received.awaitNumbers(1);
        MessageExt got = received.messages().iterator().next();
        Check.same("TagÄ", got.getTags(), "tag");
        Check.same("key one key-two", got.getKeys(), "keys");
        Check.same(77, got.getFlag(), "flag");
        Check.same("日本語 😀", got.getUserProperty("grüße"), "property");
        Check.same(result.getMsgId(), got.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX), "unique id");
        Check.that(got.getStoreTimestamp() >= got.getBornTimestamp() - 60_000, "store time " + got.getStoreTimestamp());
        if (scope.servers.kind.brokers == 1 && scope.servers.kind != Kind.APOGEE_OUTBOX) { // which has other addresses for brokers
            InetSocketAddress store = (InetSocketAddress) got.getStoreHost();
            Check.same(scope.servers.brokerAddress().split(":")[1], Integer.toString(store.getPort()), "port of the store");
        }
    }

    private static void largeBodies(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        DefaultMQProducer producer = scope.producer();
        byte[] compressible = new byte[64 << 10];
        Arrays.fill(compressible, (byte) 'a');
        byte[] random = new byte[3 << 20];
        new java.util.Random(1).nextBytes(random);
        Scope.stored(producer.send(new Message(topic, compressible)));
        Scope.stored(producer.send(new Message(topic, random)));
        Received received = new Received(scope, topic, "*");
        Check.eventually("two messages", () -> received.messages().size() == 2);
        for (MessageExt m : received.messages()) {
            Check.that(Arrays.equals(m.getQueueOffset() == 0 ? compressible : random, m.getBody()), "body at offset " + m.getQueueOffset());
        }
    }

    private static void fastPort(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = new DefaultMQProducer(scope.name("producer"));
        producer.setVipChannelEnabled(true);
        Scope.send(scope.started(producer), topic, "t", 20);
        new Received(scope, topic, "*").awaitNumbers(20);
    }

    private static void tooLarge(Scope scope) throws Exception {
        String topic = scope.topic(1);
        DefaultMQProducer producer = new DefaultMQProducer(scope.name("producer"));
        producer.setMaxMessageSize(8 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        scope.started(producer);
        Exception cause = Check.refused("5 MiB", () -> producer.send(new Message(topic, new byte[BYTES_MAX + (1 << 20)])));
        Check.that(cause instanceof MQBrokerException, "refused by the broker: " + cause);
        Check.same(MESSAGE_ILLEGAL, ((MQBrokerException) cause).getResponseCode(), "code");
        Check.same(0L, Scope.stored(producer.send(Scope.message(topic, "t", "0"))).getQueueOffset(), "offset of the next message");
    }
}
