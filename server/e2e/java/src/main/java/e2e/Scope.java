package e2e;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What one case uses: names that nobody else has, and clients that end with it. */
final class Scope implements AutoCloseable {
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private static final int SEND_TIMEOUT_MILLIS = 10_000;
    private static final int PERSIST_MILLIS = 1_000;
    private static final int READ_AND_WRITE = 6;

    final Servers servers;
    private final Access access;
    private final Crash crash;
    private final Deque<Runnable> closers = new ArrayDeque<>();

    /** crash is null where nobody may kill the broker. */
    Scope(Servers servers, Access access, Crash crash) {
        this.servers = servers;
        this.access = access;
        this.crash = crash;
    }

    /** A scope for clients of other servers, or with another access, that ends with this one. */
    Scope at(Servers others, Access other) {
        Scope scope = new Scope(others, other, null);
        onClose(scope::close);
        return scope;
    }

    /** Servers of the case's own, with settings of the form key=value besides the usual ones. */
    Servers servers(Access operator, String... settings) throws Exception {
        Servers own = servers.another(name("servers"), operator, settings);
        onClose(own::close);
        return own;
    }

    /** Waits until all cases beside this one have come to their crash; then the broker dies, and comes back. */
    void crash() throws Exception {
        crash.await();
    }

    /** A name for a topic or group that is used nowhere else. */
    String name(String kind) {
        return kind + "_" + NUMBERS.incrementAndGet() + "_" + ProcessHandle.current().pid();
    }

    /** Creates a topic with so many queues on each broker, as an administrator does, and waits until clients find it. */
    String topic(int queues) throws Exception {
        String topic = name("topic");
        setTopic(topic, queues);
        return topic;
    }

    /** A topic that has queues on the first broker only, for cases that tell queues by their numbers. */
    String narrowTopic(int queues) throws Exception {
        String topic = name("topic");
        DefaultMQAdminExt admin = admin();
        for (String broker : servers.brokerNames()) { // on all, as a cluster fills in the topics that a broker lacks
            boolean first = broker.equals(servers.brokerName());
            create(admin, broker, new TopicConfig(topic, first ? queues : 1, first ? queues : 1, first ? READ_AND_WRITE : 0));
        }
        awaitTopic(topic);
        return topic;
    }

    /** Creates or changes a topic on all brokers. */
    void setTopic(String topic, int queues) throws Exception {
        DefaultMQAdminExt admin = admin();
        for (String broker : servers.brokerNames()) {
            create(admin, broker, new TopicConfig(topic, queues, queues, READ_AND_WRITE));
        }
        awaitTopic(topic);
    }

    private void create(DefaultMQAdminExt admin, String broker, TopicConfig topic) throws Exception {
        Check.eventually("create " + topic.getTopicName() + " on " + broker, () -> {
            admin.createAndUpdateTopicConfig(servers.brokerAddress(broker), topic);
            return true;
        });
    }

    /** Waits until each nameserver, as clients have any of them, knows the topic on all brokers. */
    private void awaitTopic(String topic) throws Exception {
        for (String nameserver : servers.nameservers()) {
            DefaultMQAdminExt admin = admin(nameserver);
            Check.eventually("route of " + topic, () -> admin.examineTopicRouteInfo(topic).getQueueDatas().size() == servers.kind.brokers);
        }
    }

    /** Waits until so many messages are in a topic, and returns the topic. */
    String awaitStored(String topic, int count) throws Exception {
        DefaultMQAdminExt admin = admin();
        Check.eventually(count + " messages in " + topic, () -> admin.examineTopicStats(topic).getOffsetTable().values().stream()
            .mapToLong(queue -> queue.getMaxOffset() - queue.getMinOffset()).sum() == count);
        return topic;
    }

    DefaultMQAdminExt admin() throws Exception {
        return admin(servers.nameserverAddress());
    }

    private DefaultMQAdminExt admin(String nameservers) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(access.hook, SEND_TIMEOUT_MILLIS);
        admin.setInstanceName(name("admin"));
        admin.setUseTLS(access.tls);
        admin.setNamesrvAddr(nameservers);
        onClose(admin::shutdown);
        admin.start();
        return admin;
    }

    /** A producer of its own group that has been started. */
    DefaultMQProducer producer() throws Exception {
        return started(new DefaultMQProducer(name("producer"), access.hook));
    }

    <P extends DefaultMQProducer> P started(P producer) throws Exception {
        producer.setNamesrvAddr(servers.nameserverAddress());
        producer.setInstanceName(name("instance"));
        producer.setSendMsgTimeout(SEND_TIMEOUT_MILLIS);
        producer.setHeartbeatBrokerInterval(PERSIST_MILLIS);
        producer.setUseTLS(access.tls);
        onClose(producer::shutdown);
        producer.start();
        return producer;
    }

    /** A push consumer that begins with the oldest message. The case subscribes and starts it. */
    DefaultMQPushConsumer pushConsumer(String group) {
        return configured(new DefaultMQPushConsumer(group, access.hook, new AllocateMessageQueueAveragely()));
    }

    /** Gives a push consumer, however it was made, what all of them have. */
    DefaultMQPushConsumer configured(DefaultMQPushConsumer consumer) {
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setInstanceName(name("instance"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPersistConsumerOffsetInterval(PERSIST_MILLIS);
        consumer.setPollNameServerInterval(PERSIST_MILLIS);
        consumer.setHeartbeatBrokerInterval(PERSIST_MILLIS);
        consumer.setUseTLS(access.tls);
        onClose(consumer::shutdown);
        return consumer;
    }

    @SuppressWarnings("deprecation")
    DefaultMQPullConsumer pullConsumer(String group) {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group, access.hook);
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setUseTLS(access.tls);
        consumer.setInstanceName(name("instance"));
        onClose(consumer::shutdown);
        return consumer;
    }

    DefaultLitePullConsumer litePullConsumer(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group, access.hook);
        consumer.setNamesrvAddr(servers.nameserverAddress());
        consumer.setInstanceName(name("instance"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setHeartbeatBrokerInterval(PERSIST_MILLIS);
        consumer.setUseTLS(access.tls);
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

    /** Sends until the broker has stored the message. */
    static void sendUntilStored(DefaultMQProducer producer, Message message, MessageQueue queue) throws Exception {
        Check.eventually("send " + new String(message.getBody(), StandardCharsets.UTF_8), () -> isStored(queue == null ? producer.send(message)
            : producer.send(message, queue)));
    }

    /** Whether the message is stored: a master without a slave says that it has it alone. */
    static boolean isStored(SendResult result) {
        return result.getSendStatus() == SendStatus.SEND_OK || result.getSendStatus() == SendStatus.SLAVE_NOT_AVAILABLE;
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
