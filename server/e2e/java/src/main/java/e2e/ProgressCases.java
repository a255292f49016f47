package e2e;

import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;

/** What a restart of the broker must not change. */
final class ProgressCases implements Suite {
    private static final int RETRY_MILLIS = 50;

    @Override
    public void declare(Cases cases) {
        cases.addAlone("restart: a consumer that was away goes on where it stopped", ProgressCases::away);
        cases.addAlone("restart: running producer and consumer go on, nothing confirmed is missing", ProgressCases::running);
    }

    private static void away(Scope scope) throws Exception {
        String topic = scope.topic(4);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 50);
        Received before = new Received(scope.pushConsumer(group), topic, "*");
        before.awaitNumbers(50);
        before.consumer.shutdown();
        for (int i = 50; i < 70; i++) {
            Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i))));
        }
        scope.servers.restartBroker();
        new Received(scope.pushConsumer(group), topic, "*").awaitNumbers(50, 70);
    }

    private static void running(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        Scope.send(producer, topic, "t", 20);
        received.awaitNumbers(20);
        scope.servers.restartBroker();
        Set<String> confirmed = new TreeSet<>();
        for (int i = 20; i < 60; i++) {
            sendUntilStored(producer, topic, Integer.toString(i));
            confirmed.add(Integer.toString(i));
        }
        Check.eventually("what was confirmed after the restart arrives", () -> received.bodies().containsAll(confirmed));
    }

    private static void sendUntilStored(DefaultMQProducer producer, String topic, String body) throws Exception {
        Check.eventually("send " + body, () -> {
            SendResult result = producer.send(Scope.message(topic, "t", body));
            Thread.sleep(RETRY_MILLIS);
            return result.getSendStatus() == SendStatus.SEND_OK;
        });
    }
}
