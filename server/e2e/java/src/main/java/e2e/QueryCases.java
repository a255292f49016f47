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
    private static final int PAUSE_MILLIS = 1_500; // RocketMQ searches by whole seconds

    @Override
    public void declare(Cases cases) {
        cases.add("query: by id", QueryCases::byIdentifier);
        cases.add("query: by key", QueryCases::byKey);
        cases.addCrashing("query: by id, unique id, key and time, after a kill", QueryCases::afterCrash);
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

    private static void afterCrash(Scope scope) throws Exception {
        String topic = scope.topic(2);
        DefaultMQProducer producer = scope.producer();
        SendResult early = Scope.stored(producer.send(keyed(topic, "early")));
        Thread.sleep(PAUSE_MILLIS);
        long between = System.currentTimeMillis();
        Thread.sleep(PAUSE_MILLIS);
        SendResult late = Scope.stored(producer.send(keyed(topic, "late")));
        scope.crash();
        DefaultMQAdminExt admin = scope.admin();
        Check.eventually("both by key", () -> Set.of("early", "late").equals(byKey(admin, topic, 0, Long.MAX_VALUE)));
        Check.same(Set.of("early"), byKey(admin, topic, 0, between), "bodies until a time");
        Check.same(Set.of("late"), byKey(admin, topic, between, Long.MAX_VALUE), "bodies from a time on");
        for (String id : new String[] {early.getMsgId(), early.getOffsetMsgId()}) {
            Check.same("early", Scope.body(admin.viewMessage(topic, id)), "body by " + id);
        }
        Check.same("late", Scope.body(producer.viewMessage(topic, late.getMsgId())), "body by unique id");
    }

    private static Message keyed(String topic, String body) {
        Message message = Scope.message(topic, "t", body);
        message.setKeys("first-key second-key");
        return message;
    }

    private static Set<String> byKey(DefaultMQAdminExt admin, String topic, long begin, long end) throws Exception {
        return admin.queryMessage(topic, "second-key", 32, begin, end).getMessageList().stream().map(Scope::body).collect(Collectors.toSet());
    }
}
