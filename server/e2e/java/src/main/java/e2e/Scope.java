package e2e;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What one case uses: names that nobody else has, and clients that end with it. */
final class Scope implements AutoCloseable {
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private static final int SEND_TIMEOUT_MILLIS = 10_000;
    private static final int PERSIST_MILLIS = 1_000;
    private static final int READ_AND_WRITE = 6;

    final Servers servers;
    private final Deque<Runnable> closers = new ArrayDeque<>();

    Scope(Servers servers) {
        this.servers = servers;
    }

    /** A name for a topic or group that is used nowhere else. */
    String name(String kind) {
        return kind + "_" + NUMBERS.incrementAndGet() + "_" + ProcessHandle.current().pid();
    }

    /** Creates a topic as an administrator does, and waits until clients find it. */
    String topic(int queues) throws Exception {
        String topic = name("topic");
        DefaultMQAdminExt admin = admin();
        admin.createAndUpdateTopicConfig(servers.brokerAddress(), new TopicConfig(topic, queues, queues, READ_AND_WRITE));
        Check.eventually("route of " + topic, () -> !admin.examineTopicRouteInfo(topic).getQueueDatas().isEmpty());
        return topic;
    }

    DefaultMQAdminExt admin() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(SEND_TIMEOUT_MILLIS);
        admin.setInstanceName(name("admin"));
        admin.setNamesrvAddr(servers.nameserverAddress());
        onClose(admin::shutdown);
        admin.start();
        return admin;
    }

    /** A producer of its own group that has been started. */
    DefaultMQProducer producer() throws Exception {
        return started(new DefaultMQProducer(name("producer")));
    }

    <P extends DefaultMQProducer> P started(P producer) throws Exception {
        producer.setNamesrvAddr(servers.nameserverAddress());
        producer.setInstanceName(name("instance"));
        producer.setSendMsgTimeout(SEND_TIMEOUT_MILLIS);
        onClose(producer::shutdown);
        producer.start();
        return producer;
    }

    /** A push consumer that begins with the oldest message. The case subscribes and starts it. */
    DefaultMQPushConsumer pushConsumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setInstanceName(name("instance"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPersistConsumerOffsetInterval(PERSIST_MILLIS);
        consumer.setPollNameServerInterval(PERSIST_MILLIS);
        consumer.setHeartbeatBrokerInterval(PERSIST_MILLIS);
        onClose(consumer::shutdown);
        return consumer;
    }

    @SuppressWarnings("deprecation")
    DefaultMQPullConsumer pullConsumer(String group) {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setInstanceName(name("instance"));
        onClose(consumer::shutdown);
        return consumer;
    }

    DefaultLitePullConsumer litePullConsumer(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setInstanceName(name("instance"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        onClose(consumer::shutdown);
        return consumer;
    }

    /** Runs when the case is over, the latest first. */
    void onClose(Runnable closer) {
        closers.push(closer);
    }

    /** Sends messages with bodies "0" to "count-1" one after the other. */
    static void send(DefaultMQProducer producer, String topic, String tag, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            stored(producer.send(message(topic, tag, Integer.toString(i))));
        }
    }

    static Message message(String topic, String tag, String body) {
        return new Message(topic, tag, body.getBytes(StandardCharsets.UTF_8));
    }

    static SendResult stored(SendResult result) {
        Check.same(SendStatus.SEND_OK, result.getSendStatus(), "status of a send");
        return result;
    }

    static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        RuntimeException failed = null;
        while (!closers.isEmpty()) {
            try {
                closers.pop().run();
            } catch (RuntimeException e) {
                failed = e;
            }
        }
        if (failed != null) {
            throw failed;
        }
    }
}
