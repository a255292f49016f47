package e2e;

import static e2e.Mqadmin.command;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;

/** Traces that clients write about messages: who sent them, who consumed them. */
final class TraceCases implements Suite {
    private static final int COUNT = 2;

    @Override
    public void declare(Cases cases) {
        cases.addAlone("trace: queryMsgTraceById finds sender and consumer, also after a kill", TraceCases::standard);
        cases.addAlone("trace: in a topic of one's own", TraceCases::ownTopic);
    }

    private static void standard(Scope scope) throws Exception {
        traced(scope, null);
    }

    private static void ownTopic(Scope scope) throws Exception {
        traced(scope, scope.topic(1));
    }

    /** traceTopic is null for the usual one. */
    private static void traced(Scope scope, String traceTopic) throws Exception {
        String topic = scope.topic(2);
        String producers = scope.name("p");
        String consumers = scope.name("c");
        DefaultMQProducer producer = scope.started(new DefaultMQProducer(producers, null, true, traceTopic));
        Received received = new Received(scope.configured(
            new DefaultMQPushConsumer(consumers, null, new AllocateMessageQueueAveragely(), true, traceTopic)), topic, "*");
        List<String> ids = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            ids.add(Scope.stored(producer.send(Scope.message(topic, "t", Integer.toString(i)))).getMsgId());
        }
        received.awaitNumbers(COUNT);
        check(scope, traceTopic, ids, producers, consumers); // clients drop the traces that they can't send
        scope.servers.crashBroker();
        SendResult after = sendAgain(producer, topic);
        received.awaitNumbers(COUNT + 1);
        ids.add(after.getMsgId());
        check(scope, traceTopic, ids, producers, consumers);
    }

    private static SendResult sendAgain(DefaultMQProducer producer, String topic) throws Exception {
        SendResult[] result = {null};
        Check.eventually("a send after the kill", () -> (result[0] = producer.send(Scope.message(topic, "t", Integer.toString(COUNT)))) != null);
        return result[0];
    }

    private static void check(Scope scope, String traceTopic, List<String> ids, String producers, String consumers) throws Exception {
        for (String id : ids) {
            Mqadmin.eventually(scope.servers, traceTopic == null ? command("queryMsgTraceById", "-i", id)
                : command("queryMsgTraceById", "-i", id, "-t", traceTopic), "Pub\\s+" + producers + "\\s.*success", "Sub\\s+" + consumers + "\\s.*success");
        }
    }
}
