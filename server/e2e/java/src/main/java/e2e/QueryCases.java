package e2e;

import java.util.Set;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Messages found by id, unique id and key. */
final class QueryCases implements Suite {
    @Override
    public void declare(Cases cases) {
        cases.add("query: by id", QueryCases::byIdentifier);
        cases.add("query: by key", QueryCases::byKey);
    }

    private static void byIdentifier(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        Scope.send(producer, topic, "t", 5);
        SendResult result = Scope.stored(producer.send(Scope.message(topic, "t", "looked for")));
        DefaultMQAdminExt admin = scope.admin();
        Check.same("looked for", Scope.body(admin.viewMessage(topic, result.getOffsetMsgId())), "body by id");
        Check.eventually("found by unique id", () -> "looked for".equals(Scope.body(admin.viewMessage(topic, result.getMsgId()))));
    }

    private static void byKey(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        for (int i = 0; i < 10; i++) {
            Message message = Scope.message(topic, "t", Integer.toString(i));
            message.setKeys(i % 2 == 0 ? "even number-" + i : "odd");
            Scope.stored(producer.send(message));
        }
        DefaultMQAdminExt admin = scope.admin();
        long now = System.currentTimeMillis();
        Check.eventually("messages by key", () -> {
            QueryResult result = admin.queryMessage(topic, "odd", 32, now - 600_000, now + 600_000);
            return Set.of("1", "3", "5", "7", "9").equals(result.getMessageList().stream().map(Scope::body).collect(Collectors.toSet()));
        });
        QueryResult one = admin.queryMessage(topic, "number-4", 32, now - 600_000, now + 600_000);
        Check.same(1, one.getMessageList().size(), "messages with the second key");
        MessageExt found = one.getMessageList().get(0);
        Check.same("4", Scope.body(found), "body");
    }
}
