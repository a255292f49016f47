package e2e;

import static e2e.Mqadmin.command;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;

/** Commands of mqadmin as an operator gives them: what they print must tell the truth. They run in this process. */
final class AdminCases implements Suite {
    private static final String CLUSTER = Servers.CLUSTER;

    @Override
    public void declare(Cases cases) {
        cases.addAlone("mqadmin: clusterList, brokerStatus", AdminCases::cluster);
        cases.addAlone("mqadmin: updateTopic, topicList, topicRoute, topicStatus, updateTopicPerm, deleteTopic", AdminCases::topics);
        cases.addAlone("mqadmin: topicClusterList, allocateMQ", AdminCases::topicPlaces);
        cases.addAlone("mqadmin: updateTopic -o true, updateOrderConf", AdminCases::orderedTopic);
        cases.addAlone("mqadmin: updateSubGroup, getConsumerConfig, deleteSubGroup", AdminCases::groups);
        cases.addAlone("mqadmin: consumerProgress, consumerConnection, consumerStatus, producerConnection, producer", AdminCases::clients);
        cases.addAlone("mqadmin: printMsg, printMsgByQueue, consumeMessage, sendMessage, queryCq", AdminCases::messages);
        cases.addAlone("mqadmin: statsAll, brokerConsumeStats", AdminCases::statistics);
        cases.addAlone("mqadmin: resetOffsetByTime, skipAccumulatedMessage, cloneGroupOffset", AdminCases::offsets);
        cases.addAlone("mqadmin: getBrokerConfig, updateBrokerConfig", AdminCases::brokerConfig);
        cases.addAlone("mqadmin: updateKvConfig, deleteKvConfig", AdminCases::keysAndValues);
        cases.addAlone("mqadmin: getNamesrvConfig, updateNamesrvConfig", AdminCases::nameserverConfig);
        cases.addAlone("mqadmin: wipeWritePerm, addWritePerm", AdminCases::writePermission);
        cases.addAlone("mqadmin: cleanUnusedTopic, cleanExpiredCQ", AdminCases::cleaning);
        cases.addAlone("mqadmin: sendMsgStatus", AdminCases::probes);
    }

    private static String mqadmin(Scope scope, String... arguments) throws InterruptedException {
        return Mqadmin.run(scope.servers, arguments);
    }

    private static void eventually(Scope scope, String[] command, String... parts) throws Exception {
        Mqadmin.eventually(scope.servers, command, parts);
    }

    private static void cluster(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String address = scope.servers.brokerAddress();
        eventually(scope, command("clusterList"), CLUSTER + "\\s+" + broker + "\\s+0\\s+" + Pattern.quote(address) + "\\s+V");
        eventually(scope, command("clusterList", "-m"), CLUSTER + "\\s+" + broker);
        String status = mqadmin(scope, "brokerStatus", "-b", address);
        for (String key : new String[] {"bootTimestamp", "brokerVersionDesc", "putMessageTimesTotal", "msgPutTotalTodayNow",
            "commitLogDiskRatio", "sendThreadPoolQueueSize", "runtime"}) {
            Check.contains(status, key);
        }
        Check.contains(mqadmin(scope, "brokerStatus", "-c", CLUSTER), "putTps");
    }

    private static void topics(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.name("admin");
        String created = mqadmin(scope, "updateTopic", "-c", CLUSTER, "-t", topic, "-r", "3", "-w", "2");
        Check.contains(created, "success");
        eventually(scope, command("topicList"), "(?m)^" + topic + "$");
        eventually(scope, command("topicList", "-c"), CLUSTER + "\\s+" + topic);
        eventually(scope, command("topicRoute", "-t", topic), Pattern.quote(scope.servers.brokerAddress()), "\"readQueueNums\":\\s*3",
            "\"writeQueueNums\":\\s*2", "\"perm\":\\s*6");
        DefaultMQProducer producer = scope.producer();
        for (int i = 0; i < 10; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), new MessageQueue(topic, broker, i % 2));
        }
        eventually(scope, command("topicStatus", "-t", topic), broker + "\\s+0\\s+0\\s+5\\s+20\\d\\d-", broker + "\\s+1\\s+0\\s+5\\s+20\\d\\d-");
        mqadmin(scope, "updateTopicPerm", "-b", scope.servers.brokerAddress(), "-t", topic, "-p", "4");
        eventually(scope, command("topicRoute", "-t", topic), "\"perm\":\\s*4");
        Check.contains(mqadmin(scope, "deleteTopic", "-c", CLUSTER, "-t", topic), "success");
        Check.eventually("the topic is in no list", () -> !mqadmin(scope, "topicList").contains(topic));
    }

    private static void topicPlaces(Scope scope) throws Exception {
        String topic = scope.narrowTopic(4);
        eventually(scope, command("topicClusterList", "-t", topic), CLUSTER);
        String shares = mqadmin(scope, "allocateMQ", "-t", topic, "-i", "10.0.0.1,10.0.0.2");
        Check.contains(shares, "10.0.0.1");
        Check.contains(shares, "10.0.0.2");
    }

    private static void orderedTopic(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.name("ordered");
        Check.contains(mqadmin(scope, "updateTopic", "-c", CLUSTER, "-t", topic, "-r", "4", "-w", "4", "-o", "true"), "success");
        eventually(scope, command("updateOrderConf", "-t", topic, "-m", "get"), orders(scope));
        Check.contains(mqadmin(scope, "updateOrderConf", "-t", topic, "-m", "put", "-v", broker + ":2"), "success");
        eventually(scope, command("updateOrderConf", "-t", topic, "-m", "get"), "orderConf=\\[" + broker + ":2\\]");
        Check.contains(mqadmin(scope, "updateOrderConf", "-t", topic, "-m", "delete"), "success");
    }

    /** What mqadmin writes for an ordered topic with four queues on each broker: its parts, in any order. */
    private static String[] orders(Scope scope) {
        return scope.servers.brokerNames().stream().map(name -> name + ":4").toArray(String[]::new);
    }

    private static void groups(Scope scope) throws Exception {
        String group = scope.name("admingroup");
        Check.contains(mqadmin(scope, "updateSubGroup", "-c", CLUSTER, "-g", group, "-r", "7", "-q", "2"), "success");
        eventually(scope, command("getConsumerConfig", "-g", group), "retryMaxTimes\\s*=\\s*7", "retryQueueNums\\s*=\\s*2");
        Check.contains(mqadmin(scope, "deleteSubGroup", "-c", CLUSTER, "-g", group), "success");
    }

    private static void clients(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.narrowTopic(2);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 20);
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        received.awaitNumbers(20);
        // Broker offset, consumer offset, and so a lag of nothing.
        eventually(scope, command("consumerProgress", "-g", group), topic + "\\s+" + broker + "\\s+0\\s+10\\s+10\\s+.*0", "Consume Diff Total: 0|Diff Total: 0");
        eventually(scope, command("consumerProgress"), "(?m)^" + group.substring(0, Math.min(group.length(), 64)) + "\\s+1\\s+");
        eventually(scope, command("consumerConnection", "-g", group), "JAVA", Pattern.quote(topic), "CLUSTERING", "CONSUME_PASSIVELY");
        Check.contains(mqadmin(scope, "consumerStatus", "-g", group), "Same subscription in the same group");
        eventually(scope, command("producerConnection", "-g", producer.getProducerGroup(), "-t", topic), "JAVA");
        eventually(scope, command("producer", "-b", scope.servers.brokerAddress()), Pattern.quote(producer.getProducerGroup()));
    }

    private static void messages(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.narrowTopic(1);
        Check.contains(mqadmin(scope, "sendMessage", "-t", topic, "-p", "from the shell", "-c", "shell", "-k", "k1"), "SEND_OK");
        eventually(scope, command("printMsg", "-t", topic, "-d", "true"), "from the shell");
        eventually(scope, command("printMsgByQueue", "-t", topic, "-a", broker, "-i", "0", "-d", "true", "-p", "true"), "from the shell");
        eventually(scope, command("consumeMessage", "-t", topic, "-b", broker, "-i", "0", "-o", "0", "-c", "1"), "from the shell|MSGID");
        Check.contains(mqadmin(scope, "queryCq", "-t", topic, "-q", "0", "-i", "0", "-c", "1", "-b", scope.servers.brokerAddress()), "max: 1, min: 0");
    }

    private static void statistics(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        Scope.send(scope.producer(), topic, "t", 10);
        new Received(scope.pushConsumer(group), topic, "*").awaitNumbers(10);
        eventually(scope, command("statsAll", "-t", topic), topic + "\\s+" + group);
        eventually(scope, command("brokerConsumeStats", "-b", scope.servers.brokerAddress()), topic + "\\s+" + group + "\\s+" + broker + "\\s+0\\s+10");
    }

    private static void offsets(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        Scope.send(scope.producer(), topic, "t", 20);
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        received.awaitNumbers(20);
        eventually(scope, command("consumerProgress", "-g", group), topic + "\\s+" + broker + "\\s+0\\s+20\\s+20");
        received.messages().clear();
        // While the consumer runs: it is told, and reads everything again.
        mqadmin(scope, "resetOffsetByTime", "-g", group, "-t", topic, "-s", "0");
        received.awaitNumbers(20);
        eventually(scope, command("consumerProgress", "-g", group), topic + "\\s+" + broker + "\\s+0\\s+20\\s+20");
        mqadmin(scope, "skipAccumulatedMessage", "-g", group, "-t", topic);
        String clone = scope.name("group");
        Check.contains(mqadmin(scope, "updateSubGroup", "-c", CLUSTER, "-g", clone), "success");
        new Received(scope.pushConsumer(clone), topic, "*").consumer.shutdown();
        Check.contains(mqadmin(scope, "cloneGroupOffset", "-s", group, "-d", clone, "-t", topic, "-o", "true"), "success");
        eventually(scope, command("consumerProgress", "-g", clone), topic + "\\s+" + broker + "\\s+0\\s+20\\s+20");
    }

    private static void brokerConfig(Scope scope) throws Exception {
        String address = scope.servers.brokerAddress();
        String before = mqadmin(scope, "getBrokerConfig", "-b", address);
        Check.contains(before, "brokerName");
        Matcher value = Pattern.compile("autoCreateTopicEnable\\s*=\\s*(\\w+)").matcher(before);
        Check.that(value.find(), "autoCreateTopicEnable in:\n" + before);
        Check.same("true", value.group(1), "autoCreateTopicEnable");
        Check.contains(mqadmin(scope, "updateBrokerConfig", "-b", address, "-k", "autoCreateTopicEnable", "-v", "false"), "success");
        eventually(scope, command("getBrokerConfig", "-b", address), "autoCreateTopicEnable\\s*=\\s*false");
        Check.contains(mqadmin(scope, "updateBrokerConfig", "-b", address, "-k", "autoCreateTopicEnable", "-v", "true"), "success");
        eventually(scope, command("getBrokerConfig", "-c", CLUSTER), "autoCreateTopicEnable\\s*=\\s*true");
    }

    private static void keysAndValues(Scope scope) throws Exception {
        var admin = scope.admin();
        Check.contains(mqadmin(scope, "updateKvConfig", "-s", "e2e", "-k", "color", "-v", "bläulich"), "success");
        Check.same("bläulich", admin.getKVConfig("e2e", "color"), "value");
        Check.same("{color=bläulich}", admin.getKVListByNamespace("e2e").getTable().toString(), "namespace");
        Check.contains(mqadmin(scope, "deleteKvConfig", "-s", "e2e", "-k", "color"), "success");
        Check.refused("a key that was deleted", () -> admin.getKVConfig("e2e", "color"));
    }

    private static void nameserverConfig(Scope scope) throws Exception {
        eventually(scope, command("getNamesrvConfig"), "orderMessageEnable\\s*=\\s*false", "listenPort");
        Check.contains(mqadmin(scope, "updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "true"), "success");
        eventually(scope, command("getNamesrvConfig"), "orderMessageEnable\\s*=\\s*true");
        String topic = scope.name("ordered");
        Check.contains(mqadmin(scope, "updateTopic", "-c", CLUSTER, "-t", topic, "-r", "4", "-w", "4", "-o", "true"), "success");
        eventually(scope, command("topicRoute", "-t", topic), orders(scope));
        Check.contains(mqadmin(scope, "updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "false"), "success");
    }

    private static void writePermission(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        String topic = scope.narrowTopic(1);
        Check.contains(mqadmin(scope, "wipeWritePerm", "-b", broker), "OK");
        eventually(scope, command("topicRoute", "-t", topic), "\"perm\":\\s*4");
        Check.contains(mqadmin(scope, "addWritePerm", "-b", broker), "OK");
        eventually(scope, command("topicRoute", "-t", topic), "\"perm\":\\s*6");
    }

    private static void cleaning(Scope scope) throws Exception {
        Check.contains(mqadmin(scope, "cleanUnusedTopic", "-b", scope.servers.brokerAddress()), "success");
        Check.contains(mqadmin(scope, "cleanExpiredCQ", "-b", scope.servers.brokerAddress()), "success");
    }

    private static void probes(Scope scope) throws Exception {
        String broker = scope.servers.brokerName();
        Check.contains(mqadmin(scope, "sendMsgStatus", "-b", broker, "-s", "128", "-c", "3"), "SEND_OK");
    }
}
