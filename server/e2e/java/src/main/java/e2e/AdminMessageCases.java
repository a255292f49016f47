package e2e;

import static e2e.Mqadmin.command;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Pattern;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.message.Message;

/** mqadmin on single messages: found, given out once more, traced to who consumed them. And what it exports. */
final class AdminMessageCases implements Suite {
    private static final int PAUSE_MILLIS = 1_500; // a search by time may round to seconds

    @Override
    public void declare(Cases cases) {
        cases.addAlone("mqadmin: a dead letter is found and given to a consumer", AdminMessageCases::deadLetter);
        cases.addAlone("mqadmin: consumerStatus -i, -s", AdminMessageCases::status);
        if (MQVersion.CURRENT_VERSION < MQVersion.Version.V5_0_0.ordinal()) {
            return; // mqadmin of 4.x has other options for these, and ends the process when it doesn't know one
        }
        cases.addAlone("mqadmin: queryMsgById, queryMsgByKey, queryMsgByUniqueKey, queryMsgByOffset", AdminMessageCases::queries);
        cases.addAlone("mqadmin: queryMsgById and queryMsgByUniqueKey say who has consumed a message", AdminMessageCases::tracks);
        cases.addAlone("mqadmin: queryMsgByKey -b -e, queryMsgByUniqueKey -a, after a kill", AdminMessageCases::found);
        cases.addAlone("mqadmin: queryMsgById -g -d gives a message to one consumer, -s sends it again", AdminMessageCases::again);
        cases.addAlone("mqadmin: resetOffsetByTime to a time and to an offset", AdminMessageCases::reset);
        cases.addAlone("mqadmin: updateTopicList, updateSubGroupList, setConsumeMode", AdminMessageCases::lists);
        cases.addAlone("mqadmin: exportMetadata, exportConfigs, exportMetrics, checkMsgSendRT", AdminMessageCases::exports);
    }

    private static String mqadmin(Scope scope, String... arguments) throws InterruptedException {
        return Mqadmin.run(scope.servers, arguments);
    }

    private static void queries(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 3);
        Message message = Scope.message(topic, "tag-of-it", "the one");
        message.setKeys("key-of-it");
        SendResult result = Scope.stored(producer.send(message));
        Mqadmin.eventually(scope.servers, command("queryMsgById", "-t", topic, "-i", result.getOffsetMsgId()), "Queue Offset:\\s+3", "tag-of-it", "key-of-it",
            Pattern.quote(result.getMsgId()));
        Mqadmin.eventually(scope.servers, command("queryMsgByKey", "-t", topic, "-k", "key-of-it"), Pattern.quote(result.getMsgId()) + "\\s+0\\s+3");
        Mqadmin.eventually(scope.servers, command("queryMsgByUniqueKey", "-t", topic, "-i", result.getMsgId()), "Queue Offset:\\s+3", "tag-of-it");
        Mqadmin.eventually(scope.servers, command("queryMsgByOffset", "-t", topic, "-b", scope.servers.brokerName(), "-i", "0", "-o", "3"), "OffsetID:\\s+" + result.getOffsetMsgId());
    }

    private static void tracks(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        DefaultMQProducer producer = scope.producer();
        String filtered = scope.name("filtered");
        String consumed = scope.name("consumed");
        String gone = scope.name("gone");
        String broadcast = scope.name("broadcast");
        SendResult result = Scope.stored(producer.send(Scope.message(topic, "red", "0")));
        new Received(scope.pushConsumer(consumed), topic, "*").awaitNumbers(1);
        Received left = new Received(scope.pushConsumer(gone), topic, "*");
        left.awaitNumbers(1);
        left.consumer.shutdown();
        new Received(scope.pushConsumer(filtered), topic, "blue");
        DefaultMQPushConsumer all = scope.pushConsumer(broadcast);
        PushCases.broadcasting(all);
        new Received(all, topic, "*").awaitNumbers(1);
        String[] tracks = {track(consumed, "CONSUMED"), track(gone, "NOT_ONLINE"), track(filtered, "CONSUMED_BUT_FILTERED")};
        Mqadmin.eventually(scope.servers, command("queryMsgById", "-t", topic, "-i", result.getOffsetMsgId()), tracks);
        Mqadmin.eventually(scope.servers, command("queryMsgByUniqueKey", "-t", topic, "-i", result.getMsgId()), tracks);
        scope.servers.crashBroker();
        // Consumers come back with their next heartbeat.
        Mqadmin.eventually(scope.servers, command("queryMsgById", "-t", topic, "-i", result.getOffsetMsgId()), tracks);
    }

    private static String track(String group, String type) {
        return "consumerGroup=" + group + ",\\s*trackType=" + type + "\\b";
    }

    private static void found(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        DefaultMQProducer producer = scope.producer();
        SendResult early = send(producer, topic, "early");
        Thread.sleep(PAUSE_MILLIS);
        String between = Long.toString(System.currentTimeMillis());
        Thread.sleep(PAUSE_MILLIS);
        SendResult late = send(producer, topic, "late");
        scope.servers.crashBroker();
        String[] all = command("queryMsgByKey", "-t", topic, "-k", "one-key");
        Mqadmin.eventually(scope.servers, all, Pattern.quote(early.getMsgId()), Pattern.quote(late.getMsgId()));
        String before = mqadmin(scope, "queryMsgByKey", "-t", topic, "-k", "one-key", "-e", between);
        Check.contains(before, early.getMsgId());
        Check.lacks(before, late.getMsgId());
        String after = mqadmin(scope, "queryMsgByKey", "-t", topic, "-k", "one-key", "-b", between);
        Check.contains(after, late.getMsgId());
        Check.lacks(after, early.getMsgId());
        Check.contains(mqadmin(scope, "queryMsgByUniqueKey", "-t", topic, "-a", "-i", late.getMsgId()), topic);
        Check.contains(mqadmin(scope, "queryMsgById", "-t", topic, "-i", early.getOffsetMsgId(), "-f", "UTF-8"), "early");
    }

    private static SendResult send(DefaultMQProducer producer, String topic, String body) throws Exception {
        Message message = Scope.message(topic, "t", body);
        message.setKeys("one-key another");
        return Scope.stored(producer.send(message));
    }

    private static void again(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        SendResult result = Scope.stored(scope.producer().send(Scope.message(topic, "t", "0")));
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        received.awaitNumbers(1);
        String client = received.consumer.buildMQClientId();
        for (String id : new String[] {result.getOffsetMsgId(), result.getMsgId()}) {
            received.messages().clear();
            Mqadmin.eventually(scope.servers, command("queryMsgById", "-t", topic, "-i", id, "-g", group, "-d", client), "consumeResult=CR_SUCCESS");
            received.awaitNumbers(1);
        }
        received.messages().clear();
        Check.contains(mqadmin(scope, "queryMsgById", "-t", topic, "-i", result.getOffsetMsgId(), "-s", "true"), "SEND_OK");
        received.awaitNumbers(1);
    }

    private static void deadLetter(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        List<String> taken = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = scope.pushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.setMaxReconsumeTimes(0);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            taken.add(batch.get(0).getTopic());
            return taken.size() == 1 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Message message = Scope.message(topic, "t", "poison");
        message.setKeys("poison-key");
        SendResult sent = Scope.stored(scope.producer().send(message));
        String dead = scope.awaitStored("%DLQ%" + group, 1);
        Mqadmin.eventually(scope.servers, command("queryMsgByKey", "-t", dead, "-k", "poison-key"), Pattern.quote(sent.getMsgId()) + "\\s+0\\s+0");
        Mqadmin.eventually(scope.servers, command("queryMsgByUniqueKey", "-t", dead, "-i", sent.getMsgId()), "RETRY_TOPIC=" + topic,
            "Reconsume Times:\\s+1");
        Mqadmin.eventually(scope.servers, command("queryMsgByUniqueKey", "-t", dead, "-i", sent.getMsgId(), "-g", group, "-d",
            consumer.buildMQClientId()), "consumeResult=CR_SUCCESS");
        Check.same(2, taken.size(), "tries");
    }

    private static void status(Scope scope) throws Exception {
        String topic = scope.topic(2);
        String group = scope.name("group");
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        Scope.send(scope.producer(), topic, "t", 4);
        received.awaitNumbers(4);
        String client = received.consumer.buildMQClientId();
        Mqadmin.eventually(scope.servers, command("consumerStatus", "-g", group, "-i", client), "#Consumer Subscription#", topic, "#Consumer Offset#");
        Mqadmin.eventually(scope.servers, command("consumerStatus", "-g", group, "-i", client, "-s"), "#Consumer jstack#", "ConsumeMessageThread");
        Mqadmin.eventually(scope.servers, command("consumerStatus", "-g", group), "Same subscription", "Rebalance OK");
    }

    private static void reset(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 5);
        Thread.sleep(PAUSE_MILLIS);
        long between = System.currentTimeMillis();
        for (int i = 5; i < 10; i++) {
            Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i))));
        }
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        received.awaitNumbers(10);
        received.messages().clear();
        mqadmin(scope, "resetOffsetByTime", "-g", group, "-t", topic, "-s", Long.toString(between));
        received.awaitNumbers(5, 10);
        received.messages().clear();
        mqadmin(scope, "resetOffsetByTime", "-g", group, "-t", topic, "-s", "-1", "-b", scope.servers.brokerAddress(), "-q", "0", "-o", "8");
        received.awaitNumbers(8, 10);
        received.consumer.shutdown();
        // For a group of which nobody is there, and over a kill.
        mqadmin(scope, "resetOffsetByTime", "-g", group, "-t", topic, "-s", Long.toString(between));
        scope.servers.crashBroker();
        new Received(scope.pushConsumer(group), topic, "*").awaitNumbers(5, 10);
    }

    private static void lists(Scope scope) throws Exception {
        String topic = scope.name("listed");
        String group = scope.name("listedgroup");
        Path topics = Files.writeString(scope.servers.folder().resolve("topics.json"), "[{\"topicName\":\"" + topic
            + "1\",\"readQueueNums\":2,\"writeQueueNums\":2},{\"topicName\":\"" + topic + "2\",\"readQueueNums\":3,\"writeQueueNums\":3}]");
        Path groups = Files.writeString(scope.servers.folder().resolve("groups.json"), "[{\"groupName\":\"" + group + "\",\"retryMaxTimes\":3}]");
        Check.contains(mqadmin(scope, "updateTopicList", "-b", scope.servers.brokerAddress(), "-f", topics.toString()), "success");
        Mqadmin.eventually(scope.servers, command("topicRoute", "-t", topic + "2"), "\"readQueueNums\":\\s*3");
        Check.contains(mqadmin(scope, "updateSubGroupList", "-b", scope.servers.brokerAddress(), "-f", groups.toString()), "success");
        Mqadmin.eventually(scope.servers, command("getConsumerConfig", "-g", group), "retryMaxTimes\\s*=\\s*3");
        Check.contains(mqadmin(scope, "setConsumeMode", "-b", scope.servers.brokerAddress(), "-t", topic + "1", "-g", group, "-m", "PULL"), "success");
    }

    private static void exports(Scope scope) throws Exception {
        String topic = scope.narrowTopic(1);
        String folder = scope.servers.folder().resolve("export").toString();
        Check.contains(mqadmin(scope, "checkMsgSendRT", "-t", topic, "-a", "3", "-s", "64"), "true");
        Check.contains(mqadmin(scope, "exportMetadata", "-c", Servers.CLUSTER, "-f", folder), "success");
        Check.contains(Files.readString(Path.of(folder, "metadata.json")), topic);
        Check.contains(mqadmin(scope, "exportConfigs", "-c", Servers.CLUSTER, "-f", folder), "success");
        Check.contains(Files.readString(Path.of(folder, "configs.json")), scope.servers.brokerName());
        Check.contains(mqadmin(scope, "exportMetrics", "-c", Servers.CLUSTER, "-f", folder), "success");
        Check.contains(Files.readString(Path.of(folder, "metrics.json")), "totalNormalInTps");
    }
}
