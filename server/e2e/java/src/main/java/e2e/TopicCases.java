package e2e;

import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Topics made by an administrator and by sending. */
final class TopicCases implements Suite {
    @Override
    public void declare(Cases cases) {
        cases.add("topic: made by an administrator, with more queues later", TopicCases::byAdministrator);
        cases.add("topic: made by the first send", TopicCases::bySending);
        cases.add("topic: a consumer that was there first finds it", TopicCases::consumerFirst);
        cases.add("topic: an illegal name is refused", TopicCases::illegalName);
    }

    private static void byAdministrator(Scope scope) throws Exception {
        String topic = scope.topic(3);
        DefaultMQProducer producer = scope.producer();
        int brokers = scope.servers.kind.brokers;
        Check.same(3 * brokers, producer.fetchPublishMessageQueues(topic).size(), "queues");
        scope.setTopic(topic, 5);
        Check.eventually("5 queues", () -> producer.fetchPublishMessageQueues(topic).size() == 5 * brokers);
        Scope.send(producer, topic, "t", 20);
        new Received(scope, topic, "*").awaitNumbers(20);
    }

    private static void bySending(Scope scope) throws Exception {
        String topic = scope.name("automatic");
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 20);
        // A cluster creates on the other brokers what a send has created on one.
        Check.eventually("the queues of a topic that a Java producer makes, 4 for each broker",
            () -> producer.fetchPublishMessageQueues(topic).size() == 4 * scope.servers.kind.brokers);
        new Received(scope, topic, "*").awaitNumbers(20);
    }

    private static void consumerFirst(Scope scope) throws Exception {
        String topic = scope.name("automatic");
        Received received = new Received(scope, topic, "*");
        Scope.send(scope.producer(), topic, "t", 20);
        received.awaitNumbers(20);
    }

    private static void illegalName(Scope scope) throws Exception {
        DefaultMQProducer producer = scope.producer();
        Exception cause = Check.refused("a name with a blank", () -> producer.send(Scope.message("no blanks", "t", "0")));
        Check.that(cause instanceof MQClientException, "refused: " + cause);
        DefaultMQAdminExt admin = scope.admin();
        Check.refused("a name with a slash", () -> {
            admin.createAndUpdateTopicConfig(scope.servers.brokerAddress(), new TopicConfig("a/b", 1, 1, 6));
            return null;
        });
    }
}
