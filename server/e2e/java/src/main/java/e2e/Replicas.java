package e2e;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** Processes that keep the same logs: a group, a cluster of groups, or a master and its slave. Each has a nameserver inside. */
final class Replicas extends Servers {
    private static final int PORTS = 32; // of a node: nameserver, operators, replication, and at a distance of ten its brokers
    private static final int ADMIN_PORT_AT = 1;
    private static final int PEER_PORT_AT = 2;
    private static final int BROKER_PORT_AT = 6;
    private static final Pattern IN_SYNC = Pattern.compile("(?m)^apogee_slaves_in_sync(\\{.*\\})? 1$");

    private final int nodes;
    private final int port;
    private final List<Member> processes = new ArrayList<>();
    private int lost = -1; // the node that loseLeader has killed

    Replicas(Plan plan) throws IOException {
        super(plan);
        nodes = kind.replicas;
        port = Ports.free(PORTS * nodes);
        for (int node = 0; node < nodes; node++) {
            String config = config(settings(node));
            processes.add(member("node" + node, List.of(plan.apogee, "server", "-c", write("node" + node + ".conf", config).toString())));
        }
    }

    private int port(int node) {
        return port + node * PORTS;
    }

    private List<String> settings(int node) {
        List<String> all = new ArrayList<>(List.of("brokerName=" + BROKER, "storePathRootDir=" + plan.folder.resolve("store" + node),
            "namesrvListenPort=" + port(node), "namesrvAddr=" + nameserverAddress(), "adminListenPort=" + (port(node) + ADMIN_PORT_AT),
            "listenPort=" + (port(node) + BROKER_PORT_AT), "mappedFileSizeCommitLog=" + (64 << 20)));
        if (kind == Kind.APOGEE_MASTER_SLAVE) {
            all.addAll(List.of("brokerRole=" + (node == 0 ? "SYNC_MASTER" : "SLAVE"), "brokerId=" + node, "haListenPort=" + (port(node) + PEER_PORT_AT)));
            return all;
        }
        StringBuilder peers = new StringBuilder();
        for (int peer = 0; peer < nodes; peer++) {
            peers.append("n").append(peer).append("-").append(loopback(port(peer) + PEER_PORT_AT)).append(";");
        }
        if (kind == Kind.APOGEE_CLUSTER) {
            // Leadership stays where a kill has brought it: the addresses that cases look for are those of the last leader.
            all.addAll(List.of("clusterPeers=" + peers, "clusterSelfId=n" + node, "leaderReturnDelayMs=0"));
        } else {
            all.addAll(List.of("enableDLegerCommitLog=true", "dLegerGroup=" + BROKER, "dLegerPeers=" + peers, "dLegerSelfId=n" + node));
        }
        return all;
    }

    @Override
    List<String> nameservers() {
        List<String> all = new ArrayList<>();
        for (int node = 0; node < nodes; node++) {
            all.add(loopback(port(node)));
        }
        return all;
    }

    @Override
    String nameserversForMqadmin() {
        return String.join(";", nameserversLeft());
    }

    private List<String> nameserversLeft() {
        List<String> left = nameservers();
        if (lost >= 0) {
            left.remove(lost);
        }
        return left;
    }

    @Override
    void begin() throws Exception {
        for (Member process : processes) {
            process.start();
        }
        awaitWhole();
    }

    @Override
    void restartBroker() throws Exception {
        Member leader = processes.get(leader());
        leader.stop();
        leader.start();
        awaitWhole();
    }

    @Override
    void crashBroker() throws Exception {
        loseLeader();
        bringBack();
    }

    /** Kills the process that leads the first broker, and waits until others lead whatever it has led. */
    void loseLeader() throws Exception {
        if (kind == Kind.APOGEE_MASTER_SLAVE) {
            awaitSlave(); // what is confirmed without one is not on any
        }
        lost = leader();
        processes.get(lost).kill();
        if (kind == Kind.APOGEE_MASTER_SLAVE) {
            promote(1 - lost);
        }
        awaitRoutes(nameserversLeft(), "others lead than node " + lost + "; see " + plan.folder,
            brokers -> brokers.values().stream().noneMatch(addresses -> isOf(lost, addresses.get(0L))));
    }

    /** Hands the first broker over to another node, in order. */
    void handOver() throws Exception {
        int next = (leader() + 1) % nodes;
        if (kind == Kind.APOGEE_MASTER_SLAVE) {
            awaitSlave();
            promote(next);
        } else {
            admin("transfer", "n" + next, "--name", brokerName());
        }
        awaitRoutes(nameservers(), "node " + next + " leads; see " + plan.folder, brokers -> isOf(next, brokers.get(brokerName()).get(0L)));
        awaitWhole();
    }

    /** Starts the process again that was killed. */
    void bringBack() throws Exception {
        processes.get(lost).start();
        lost = -1;
        awaitWhole();
    }

    private void awaitWhole() throws Exception {
        awaitAll();
        if (kind == Kind.APOGEE_MASTER_SLAVE) {
            awaitSlave();
        }
    }

    /** The node that leads the first broker. */
    private int leader() throws Exception {
        awaitAll();
        for (int node = 0; node < nodes; node++) {
            if (isOf(node, brokerAddress())) {
                return node;
            }
        }
        throw new IllegalStateException("nobody is at " + brokerAddress());
    }

    private boolean isOf(int node, String address) {
        if (address == null) {
            return true; // nobody leads: not even another one
        }
        int at = Integer.parseInt(address.substring(address.indexOf(':') + 1));
        return at >= port(node) && at < port(node) + PORTS;
    }

    private void awaitSlave() throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + loopback(port(leader()) + ADMIN_PORT_AT) + "/metrics")).build();
        Check.eventually("the slave is in sync; see " + plan.folder, () -> IN_SYNC.matcher(
            client.send(request, HttpResponse.BodyHandlers.ofString()).body()).find());
    }

    private void promote(int node) throws Exception {
        admin("promote", loopback(port(node) + BROKER_PORT_AT));
    }
}
