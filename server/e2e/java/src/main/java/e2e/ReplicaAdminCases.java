package e2e;

import static e2e.Mqadmin.command;

import java.util.regex.Pattern;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** What mqadmin shows of brokers with replicas, and what it can do while the one that led is gone. */
final class ReplicaAdminCases implements Suite {
    private static final int POLL_MILLIS = 500;

    @Override
    public void declare(Cases cases) {
        if (!cases.servers().kind.replicated()) {
            return;
        }
        cases.addAlone("mqadmin: clusterList, brokerStatus show every replica", ReplicaAdminCases::replicas);
        if (MQVersion.CURRENT_VERSION >= MQVersion.Version.V5_0_0.ordinal()) { // mqadmin of 4.x doesn't have these
            cases.addAlone("mqadmin: haStatus counts replicas in sync, getSyncStateSet says what to ask instead", ReplicaAdminCases::inSync);
            cases.addAlone("mqadmin: topics, progress, resets and messages without the leader", ReplicaAdminCases::withoutLeader);
        }
    }

    private static void eventually(Scope scope, String[] command, String... parts) throws Exception {
        Mqadmin.eventually(scope.servers, command, parts);
    }

    private static void replicas(Scope scope) throws Exception {
        Servers servers = scope.servers;
        for (String broker : servers.brokerNames()) {
            var addresses = scope.admin().examineBrokerClusterInfo().getBrokerAddrTable().get(broker).getBrokerAddrs();
            Check.same(servers.kind.replicas, addresses.size(), "replicas of " + broker);
            for (var replica : addresses.entrySet()) {
                eventually(scope, command("clusterList"), Servers.CLUSTER + "\\s+" + broker + "\\s+" + replica.getKey() + "\\s+"
                    + Pattern.quote(replica.getValue()) + "\\s+V");
                eventually(scope, command("brokerStatus", "-b", replica.getValue()), "commitLogMaxOffset\\s+:\\s*\\d", "bootTimestamp");
            }
        }
        eventually(scope, command("brokerStatus", "-c", Servers.CLUSTER), "putTps");
    }

    private static void inSync(Scope scope) throws Exception {
        int others = scope.servers.kind.replicas - 1;
        for (String broker : scope.servers.brokerNames()) {
            eventually(scope, command("haStatus", "-b", scope.servers.brokerAddress(broker)), "#SlaveNum\\s+" + others + "\\b", "#InSyncSlaveNum\\s+" + others + "\\b");
        }
        eventually(scope, command("haStatus", "-c", Servers.CLUSTER), "#InSyncSlaveNum\\s+" + others + "\\b");
        for (String nowhere : new String[] {scope.servers.nameservers().get(0), scope.servers.brokerAddress()}) {
            Check.contains(Mqadmin.output(scope.servers, "getSyncStateSet", "-a", nowhere, "-b", scope.servers.brokerName()), "mqadmin haStatus");
        }
    }

    private static void withoutLeader(Scope scope) throws Exception {
        Replicas servers = (Replicas) scope.servers;
        String broker = servers.brokerName();
        String topic = scope.narrowTopic(1);
        String group = scope.name("group");
        DefaultMQProducer producer = new DefaultMQProducer(scope.name("producer"));
        producer.setPollNameServerInterval(POLL_MILLIS);
        scope.started(producer);
        Scope.send(producer, topic, "t", 9);
        Message message = Scope.message(topic, "t", "9");
        message.setKeys("by-key");
        SendResult sent = Scope.stored(producer.send(message));
        Received received = new Received(scope.pushConsumer(group), topic, "*");
        received.awaitNumbers(10);
        eventually(scope, command("consumerProgress", "-g", group), topic + "\\s+" + broker + "\\s+0\\s+10\\s+10");
        String old = servers.brokerAddress();
        servers.loseLeader();
        try {
            shown(scope, topic, group, sent, received, old);
            changed(scope, topic, group, producer, received);
        } finally {
            servers.bringBack();
        }
        eventually(scope, command("clusterList"), broker + "\\s+\\d\\s+" + Pattern.quote(old) + "\\s+V");
    }

    private static void shown(Scope scope, String topic, String group, SendResult sent, Received received, String old) throws Exception {
        String broker = scope.servers.brokerName();
        String leader = scope.servers.brokerAddress();
        Check.that(!old.equals(leader), "the old leader leads");
        eventually(scope, command("clusterList"), broker + "\\s+0\\s+" + Pattern.quote(leader) + "\\s+V");
        eventually(scope, command("topicRoute", "-t", topic), "0:\\s*\"" + Pattern.quote(leader) + "\"");
        eventually(scope, command("topicStatus", "-t", topic), broker + "\\s+0\\s+0\\s+10\\s+20\\d\\d-");
        eventually(scope, command("consumerProgress", "-g", group), topic + "\\s+" + broker + "\\s+0\\s+10\\s+10");
        eventually(scope, command("consumerProgress"), "(?m)^" + group + "\\s+1\\s+");
        eventually(scope, command("brokerConsumeStats", "-b", leader), topic + "\\s+" + group + "\\s+" + broker + "\\s+0\\s+10");
        eventually(scope, command("queryMsgByKey", "-t", topic, "-k", "by-key"), Pattern.quote(sent.getMsgId()) + "\\s+0\\s+9");
        eventually(scope, command("queryMsgByUniqueKey", "-t", topic, "-i", sent.getMsgId()), "Queue Offset:\\s+9",
            "consumerGroup=" + group + ",\\s*trackType=CONSUMED\\b");
        received.messages().clear();
        eventually(scope, command("queryMsgByUniqueKey", "-t", topic, "-i", sent.getMsgId(), "-g", group, "-d", received.consumer.buildMQClientId()),
            "consumeResult=CR_SUCCESS");
        received.awaitNumbers(9, 10);
    }

    private static void changed(Scope scope, String topic, String group, DefaultMQProducer producer, Received received) throws Exception {
        received.messages().clear();
        Mqadmin.run(scope.servers, "resetOffsetByTime", "-g", group, "-t", topic, "-s", "0");
        received.awaitNumbers(10);
        String another = scope.name("admin");
        eventually(scope, command("updateTopic", "-c", Servers.CLUSTER, "-t", another, "-r", "3", "-w", "2"), "success");
        eventually(scope, command("topicRoute", "-t", another), "\"readQueueNums\":\\s*3", "\"writeQueueNums\":\\s*2");
        Scope.sendUntilStored(producer, Scope.message(another, "t", "0"), new MessageQueue(another, scope.servers.brokerName(), 1));
        Check.contains(Mqadmin.run(scope.servers, "deleteTopic", "-c", Servers.CLUSTER, "-t", another), "success");
        Check.eventually("the topic is in no list", () -> !Mqadmin.run(scope.servers, "topicList").contains(another));
    }
}
