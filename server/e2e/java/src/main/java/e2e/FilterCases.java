package e2e;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Consumers that choose by SQL92 expressions over properties. */
final class FilterCases implements Suite {
    private static final int SUBSCRIPTION_PARSE_FAILED = 23;
    private static final String CHOICE = "number BETWEEN 10 AND 19 AND (color IS NULL OR color IN ('red', 'it''s blue')) AND TAGS <> 'odd'";

    @Override
    public void declare(Cases cases) {
        cases.add("filter: an expression that is wrong is refused when the consumer starts", FilterCases::illegal);
        cases.addCrashing("filter: SQL92, before and after a kill", FilterCases::overCrash);
    }

    private static void illegal(Scope scope) throws Exception {
        String topic = scope.topic(1);
        List<String> wrong = new ArrayList<>(List.of("number >", "number > 1 AND", "number > 'text'", "number BETWEEN 5 AND 1"));
        if (!scope.servers.kind.stockBroker) { // which ignores what comes after an expression
            wrong.add("color LIKE 'r%'");
        }
        for (String expression : wrong) {
            DefaultMQPushConsumer consumer = scope.pushConsumer(scope.name("group"));
            consumer.subscribe(topic, MessageSelector.bySql(expression));
            consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
            Exception cause = Check.refused(expression, () -> {
                consumer.start();
                return null;
            });
            Check.that(cause instanceof MQClientException, expression + ": " + cause);
            Check.same(SUBSCRIPTION_PARSE_FAILED, ((MQClientException) cause).getResponseCode(), "code for " + expression);
        }
    }

    /** Of each twenty messages five are chosen. Their bodies count from a number on. */
    private static void send(DefaultMQProducer producer, String topic, int from) throws Exception {
        for (int number = 0, chosen = from; number < 20; number++) {
            boolean even = number % 2 == 0;
            Message message = Scope.message(topic, even ? "even" : "odd", number >= 10 && even ? Integer.toString(chosen++) : "not chosen");
            message.putUserProperty("number", Integer.toString(number));
            if (number % 4 == 0) {
                message.putUserProperty("color", "it's blue");
            }
            Scope.sendUntilStored(producer, message, null);
        }
    }

    private static void overCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope.pushConsumer(scope.name("group")), topic, MessageSelector.bySql(CHOICE));
        send(producer, topic, 0);
        received.awaitNumbers(5);
        scope.crash();
        send(producer, topic, 5);
        received.awaitNumbers(10);
    }
}
