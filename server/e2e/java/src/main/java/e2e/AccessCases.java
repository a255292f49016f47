package e2e;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Clients that sign, wrongly or rightly, or not at all, at a broker that asks for it. RocketMQ 5's broker has other files for that. */
final class AccessCases implements Suite {
    private static final int NO_PERMISSION = 16;
    private static final int SHORT_MILLIS = 3_000;
    private static final Access SHOP = new Access(signer("shopping", "shopping-secret"), false);
    private static final Access OPERATOR = new Access(signer("operator", "operator-secret"), false);
    private static final String ACCOUNTS = "accounts:\n"
        + "  - {accessKey: shopping, secretKey: shopping-secret, topicPerms: [orders=PUB|SUB, invoices=SUB], groupPerms: [warehouse=SUB, repairs=SUB]}\n"
        + "  - {accessKey: operator, secretKey: operator-secret, admin: true}\n";

    @Override
    public void declare(Cases cases) {
        if (!cases.servers().kind.allApogee()) {
            return;
        }
        cases.add("acl: who signs rightly may do what the account may, also after a kill", AccessCases::rightly);
        cases.add("acl: a wrong signature and a missing one are refused", AccessCases::wrongly);
        cases.addAlone("acl: mqadmin signs with tools.yml, and is refused without", AccessCases::tools);
    }

    private static RPCHook signer(String accessKey, String secretKey) {
        return new AclClientRPCHook(new SessionCredentials(accessKey, secretKey));
    }

    /** Servers with accounts and the topics orders and invoices. */
    private static Servers guarded(Scope scope) throws Exception {
        Path accounts = Files.writeString(scope.servers.folder().resolve(scope.name("plain_acl") + ".yml"), ACCOUNTS);
        Servers servers = scope.servers(OPERATOR, "aclEnable=true", "aclFile=" + accounts, // the last for other nodes' nameservers
            "innerClientAuthenticationCredentials={\"accessKey\":\"operator\",\"secretKey\":\"operator-secret\"}");
        Scope operator = scope.at(servers, OPERATOR);
        for (String topic : new String[] {"orders", "invoices"}) {
            operator.setTopic(topic, 2);
        }
        return servers;
    }

    private static void refused(String what, String words, Callable<?> attempt) {
        Throwable cause = Check.refused(what, attempt);
        while (cause.getCause() != null && !(cause instanceof MQBrokerException)) {
            cause = cause.getCause(); // producers try again before they give up
        }
        Check.contains(cause.getMessage(), "CODE: " + NO_PERMISSION);
        Check.contains(cause.getMessage(), words);
    }

    @SuppressWarnings("deprecation")
    private static void rightly(Scope scope) throws Exception {
        Servers servers = guarded(scope);
        Scope shop = scope.at(servers, SHOP);
        DefaultMQProducer producer = shop.producer();
        Scope.send(producer, "orders", "t", 20);
        Received received = new Received(shop.pushConsumer("warehouse"), "orders", "*");
        received.awaitNumbers(20);
        refused("a send to a topic that may be read only", "invoices", () -> producer.send(Scope.message("invoices", "t", "0")));
        var thief = shop.pullConsumer("thieves");
        thief.start();
        refused("a pull for another group", "thieves", () -> thief.pull(new MessageQueue("orders", servers.brokerName(), 0), "*", 0, 1));
        refused("a new topic", "", () -> {
            shop.admin().createAndUpdateTopicConfig(servers.brokerAddress(), new TopicConfig("mine", 1, 1, 6));
            return null;
        });
        failsOnce(shop);
        servers.crashBroker();
        for (int i = 20; i < 40; i++) {
            Scope.sendUntilStored(producer, Scope.message("orders", "t", Integer.toString(i)), null);
        }
        received.awaitNumbers(40);
    }

    /** What an account may read it may send back, and gets again. */
    private static void failsOnce(Scope shop) throws Exception {
        DefaultMQPushConsumer consumer = shop.pushConsumer("repairs");
        List<Integer> tries = new CopyOnWriteArrayList<>();
        consumer.subscribe("orders", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            boolean failing = Scope.body(batch.get(0)).equals("7");
            if (failing) {
                tries.add(batch.get(0).getReconsumeTimes());
            }
            return failing && tries.size() == 1 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Check.eventually("a second try", () -> tries.equals(List.of(0, 1)));
        consumer.shutdown();
    }

    /** Signs as somebody else from a moment on. */
    private static final class Turncoat implements RPCHook {
        volatile RPCHook now;

        Turncoat(RPCHook first) {
            now = first;
        }

        @Override
        public void doBeforeRequest(String address, RemotingCommand request) {
            now.doBeforeRequest(address, request);
        }

        @Override
        public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
            now.doAfterResponse(address, request, response);
        }
    }

    private static final RPCHook NOBODY = new RPCHook() {
        @Override
        public void doBeforeRequest(String address, RemotingCommand request) {
            // Signs nothing.
        }

        @Override
        public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
            // Looks at nothing.
        }
    };

    private static void wrongly(Scope scope) throws Exception {
        Servers servers = guarded(scope);
        Turncoat hook = new Turncoat(SHOP.hook);
        // One that knows the route already, so that it comes as far as the broker.
        DefaultMQProducer producer = scope.at(servers, new Access(hook, false)).producer();
        Scope.send(producer, "orders", "t", 1);
        hook.now = signer("shopping", "another-secret");
        refused("a send with a wrong key", "signature", () -> producer.send(Scope.message("orders", "t", "wrong")));
        hook.now = signer("stranger", "stranger-secret");
        refused("a send of an account that is not there", "stranger", () -> producer.send(Scope.message("orders", "t", "stranger")));
        hook.now = NOBODY;
        refused("a send without a signature", "", () -> producer.send(Scope.message("orders", "t", "missing")));
        hook.now = SHOP.hook;
        Scope.stored(producer.send(Scope.message("orders", "t", "1")));
        new Received(scope.at(servers, SHOP).pushConsumer("warehouse"), "orders", "*").awaitNumbers(2);

        DefaultMQProducer stranger = scope.at(servers, Access.OPEN).producer();
        Exception cause = Check.refused("a route for nobody", () -> stranger.send(Scope.message("orders", "t", "missing"), SHORT_MILLIS));
        Check.that(cause instanceof MQClientException, "refused: " + cause);
    }

    private static void tools(Scope scope) throws Exception {
        Servers servers = guarded(scope);
        Check.contains(Mqadmin.output(servers, "clusterList"), "Exception");
        // Where mqadmin looks: run sets rocketmq.home.dir to this folder.
        Path file = scope.servers.folder().resolve("conf/tools.yml");
        Files.writeString(file, "accessKey: operator\nsecretKey: operator-secret\n");
        scope.onClose(() -> file.toFile().delete());
        Check.contains(Mqadmin.run(servers, "clusterList"), servers.brokerAddress());
        Check.contains(Mqadmin.run(servers, "updateTopic", "-b", servers.brokerAddress(), "-t", "signed"), "success");
        Check.contains(Mqadmin.run(servers, "topicList"), "signed");
        Files.writeString(file, "accessKey: shopping\nsecretKey: shopping-secret\n");
        String refusal = Mqadmin.output(servers, "updateTopic", "-b", servers.brokerAddress(), "-t", "unsigned");
        Check.contains(refusal, "CODE: 16");
    }
}
