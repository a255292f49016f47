package e2e;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;

/** The servers that the cases run against, on free ports of loopback, in a new folder. */
abstract class Servers implements AutoCloseable {
    static final String CLUSTER = "DefaultCluster";
    /** The name of a broker, or what those of several begin with. */
    static final String BROKER = "broker-a";
    /** Level 18 is the long one. */
    static final String DELAY_LEVELS = "1s 2s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 10s";
    /** What is off in one of the two brokers, and waits that are long where nobody watches. */
    private static final List<String> USED_BY_CASES = List.of("brokerClusterName=" + CLUSTER, "brokerIP1=127.0.0.1", "bindAddress=127.0.0.1",
        "autoCreateTopicEnable=true", "enablePropertyFilter=true", "recallMessageEnable=true", "transactionTimeOut=2000",
        "transactionCheckInterval=1000", "cleanFileForciblyEnable=false",
        "messageDelayLevel=" + DELAY_LEVELS);

    /** What servers are made of, and where. */
    static final class Plan {
        final Kind kind;
        final Path folder;
        final String apogee;
        final String stockJars;
        final Access operator;
        final List<String> settings;

        /** apogee is the binary, stockJars the folder with RocketMQ's jars. The operator may ask for routes and for what brokers do. */
        Plan(Kind kind, Path folder, String apogee, String stockJars, Access operator, List<String> settings) {
            this.kind = kind;
            this.folder = folder;
            this.apogee = apogee;
            this.stockJars = stockJars;
            this.operator = operator;
            this.settings = settings;
        }
    }

    final Kind kind;
    final Plan plan;
    private final List<Member> members = new ArrayList<>();
    private volatile Map<String, String> masters = Map.of();

    Servers(Plan plan) throws IOException {
        this.kind = plan.kind;
        this.plan = plan;
        Files.createDirectories(plan.folder);
    }

    /** Starts what a plan says. */
    static Servers start(Plan plan) throws Exception {
        Servers servers = plan.kind == Kind.APOGEE_OUTBOX ? new BehindOutbox(plan)
            : plan.kind.replicated() ? new Replicas(plan) : new OneBroker(plan);
        try {
            servers.begin();
        } catch (Exception | Error e) {
            servers.close();
            throw e;
        }
        return servers;
    }

    /** Further servers of the same kind, in a folder below this one's. */
    Servers another(String name, Access operator, String... settings) throws Exception {
        return start(new Plan(kind, plan.folder.resolve(name), plan.apogee, plan.stockJars, operator, List.of(settings)));
    }

    /** Starts all processes and waits until they serve. */
    abstract void begin() throws Exception;

    /** Where clients ask for routes, each address by itself. */
    abstract List<String> nameservers();

    /** Stops the broker that leads in order, and starts it again on its data. Where it has the nameserver inside, that goes along. */
    abstract void restartBroker() throws Exception;

    /** Ends the broker that leads as kill -9 does; where there is another one, that takes over. Then the first is started again. */
    abstract void crashBroker() throws Exception;

    String nameserverAddress() {
        return String.join(";", nameservers());
    }

    /** Nameservers that are there: mqadmin of 5.x picks one, and doesn't try another when that is away. */
    String nameserversForMqadmin() {
        return nameserverAddress();
    }

    /** The names of all brokers, in order. */
    List<String> brokerNames() {
        return new ArrayList<>(masters.keySet());
    }

    /** The name of the first broker. */
    String brokerName() {
        return brokerNames().get(0);
    }

    /** Where the broker of a name was led when it was looked at last. */
    String brokerAddress(String name) {
        return masters.get(name);
    }

    /** Where the first broker was led when it was looked at last. */
    String brokerAddress() {
        return brokerAddress(brokerName());
    }

    /** Where a case may leave files. */
    Path folder() {
        return plan.folder;
    }

    /** Waits until each of the nameservers tells of all brokers, with as many replicas, and masters that answer. */
    void awaitAll() throws Exception {
        awaitRoutes(nameservers(), "brokers are registered and answer; see " + plan.folder, brokers -> {
            members.forEach(Member::mustLive);
            return brokers.values().stream().allMatch(addresses -> addresses.size() == kind.replicas);
        });
    }

    void awaitRoutes(List<String> nameservers, String what, Routes.Condition condition) throws Exception {
        masters = Routes.await(plan.operator, nameservers, kind.brokers, what, condition);
    }

    /** Runs a command of apogee admin and returns what it has printed. */
    String admin(String... words) throws Exception {
        List<String> all = new ArrayList<>(List.of(plan.apogee, "admin"));
        all.addAll(List.of(words));
        all.addAll(List.of("--namesrv", nameserverAddress()));
        all.addAll(accessOfOperator());
        Process command = new ProcessBuilder(all).redirectErrorStream(true).start();
        String printed = new String(command.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        Check.same(0, command.waitFor(), "exit of " + String.join(" ", all) + ", which printed " + printed);
        return printed;
    }

    /** How Apogee's own commands reach the servers as the operator. */
    List<String> accessOfOperator() throws IOException {
        List<String> all = new ArrayList<>();
        if (plan.operator.hook instanceof AclClientRPCHook) {
            SessionCredentials credentials = ((AclClientRPCHook) plan.operator.hook).getSessionCredentials();
            all.addAll(List.of("--credentials", write("operator.yml", "accessKey: " + credentials.getAccessKey() + "\nsecretKey: "
                + credentials.getSecretKey() + "\n").toString()));
        }
        if (plan.operator.tls) {
            all.add("--tls-insecure");
        }
        return all;
    }

    /** Runs a command of apogee admin until it prints all parts. */
    void awaitPrinted(String[] parts, String... words) throws Exception {
        String[] last = {""};
        try {
            Check.eventually("apogee admin " + String.join(" ", words) + " prints " + String.join(", ", parts), () -> {
                last[0] = admin(words);
                return Arrays.stream(parts).allMatch(part -> Pattern.compile(part).matcher(last[0]).find());
            });
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; the last time it printed:\n" + last[0], e.getCause());
        }
    }

    /** Prepares a process that ends with these servers. */
    Member member(String name, List<String> command) {
        Member member = new Member(plan.folder, name, command);
        members.add(member);
        return member;
    }

    /** The settings of a broker as a file has them: those of all, then the plan's, then further ones. */
    String config(List<String> further) {
        List<String> all = new ArrayList<>(USED_BY_CASES);
        all.addAll(plan.settings);
        all.addAll(further);
        return String.join("\n", all) + "\n";
    }

    Path write(String name, String text) throws IOException {
        return Files.writeString(plan.folder.resolve(name), text);
    }

    static String loopback(int port) {
        return "127.0.0.1:" + port;
    }

    @Override
    public void close() {
        try {
            for (int i = members.size() - 1; i >= 0; i--) {
                members.get(i).stop();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
