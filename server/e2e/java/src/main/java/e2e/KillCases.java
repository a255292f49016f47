package e2e;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** Clients that know nothing of it while the broker is killed. */
final class KillCases implements Suite {
    private static final int POLL_MILLIS = 200;
    private static final int SOME = 200;
    private static final String HEARTBEAT_SETTER = "setUseHeartbeatV2"; // clients before 5.1 don't have it, so it can't be named

    @Override
    public void declare(Cases cases) {
        cases.addCrashing("kill: a producer in full flight, nothing confirmed is missing", KillCases::inFlight);
        cases.addCrashing("kill: two kills in a row", KillCases::twice);
        cases.addCrashing("kill: broadcasting consumers go on", KillCases::broadcast);
        // RocketMQ's own broker was seen to leave such consumers without messages for more than a minute.
        if (!cases.servers().kind.stockBroker
            && Arrays.stream(ClientConfig.class.getMethods()).anyMatch(m -> m.getName().equals(HEARTBEAT_SETTER))) {
            cases.addCrashing("kill: consumers with heartbeats of version 2 share their queues and go on", KillCases::heartbeats);
        }
        cases.addCrashing("kill: a lite pull consumer goes on where it stopped", KillCases::litePull);
    }

    private static void inFlight(Scope scope) throws Exception {
        underLoad(scope, 1);
    }

    private static void twice(Scope scope) throws Exception {
        underLoad(scope, 2);
    }

    private static void underLoad(Scope scope, int kills) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        Received received = new Received(scope, topic, "*");
        Load load = new Load(producer, topic);
        try (load) {
            load.await(SOME);
            for (int i = 0; i < kills; i++) {
                scope.crash();
                load.await(SOME);
            }
        }
        received.awaitAll(new ArrayList<>(load.confirmed));
    }

    private static void broadcast(Scope scope) throws Exception {
        String topic = scope.topic(4);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        List<Received> all = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = scope.pushConsumer(group);
            PushCases.broadcasting(consumer);
            all.add(new Received(consumer, topic, "*"));
        }
        Scope.send(producer, topic, "t", 50);
        for (Received received : all) {
            received.awaitNumbers(50);
        }
        scope.crash();
        for (int i = 50; i < 100; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), null);
        }
        for (Received received : all) {
            received.awaitNumbers(100);
        }
    }

    private static void heartbeats(Scope scope) throws Exception {
        String topic = scope.narrowTopic(4);
        String group = scope.name("group");
        DefaultMQProducer producer = scope.producer();
        List<Received> both = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = scope.pushConsumer(group);
            ClientConfig.class.getMethod(HEARTBEAT_SETTER, boolean.class).invoke(consumer, true);
            both.add(new Received(consumer, topic, "*"));
        }
        int[] sent = {0};
        Callable<Boolean> shared = () -> {
            both.forEach(received -> received.messages().clear());
            int from = sent[0];
            sent[0] += 40;
            Set<String> want = new HashSet<>();
            for (int i = from; i < sent[0]; i++) {
                Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), null);
                want.add(Integer.toString(i));
            }
            Check.eventually("40 messages", () -> {
                Set<String> got = new HashSet<>(both.get(0).bodies());
                got.addAll(both.get(1).bodies());
                return got.containsAll(want);
            });
            return both.stream().allMatch(received -> received.byQueue().size() == 2);
        };
        Check.eventually("two queues for each consumer", shared);
        scope.crash();
        Check.eventually("two queues for each consumer after the kill", shared);
    }

    private static void litePull(Scope scope) throws Exception {
        String topic = scope.topic(4);
        DefaultMQProducer producer = scope.producer();
        DefaultLitePullConsumer consumer = scope.litePullConsumer(scope.name("group"));
        consumer.subscribe(topic, "*");
        consumer.start();
        Scope.send(producer, topic, "t", 50);
        Collection<String> bodies = new ConcurrentLinkedQueue<>();
        poll(consumer, bodies, 50);
        scope.crash();
        for (int i = 50; i < 100; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), null);
        }
        poll(consumer, bodies, 100);
        Check.same(100, bodies.size(), "messages that were polled");
    }

    private static void poll(DefaultLitePullConsumer consumer, Collection<String> bodies, int count) throws Exception {
        Check.eventually(count + " messages are polled", () -> {
            for (MessageExt m : consumer.poll(POLL_MILLIS)) {
                bodies.add(Scope.body(m));
            }
            return bodies.stream().distinct().count() >= count;
        });
    }
}
