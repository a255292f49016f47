package e2e;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** A broker behind an outbox: clients take its agent for their nameserver, and each broker has a port there. */
final class BehindOutbox extends Servers {
    private static final int PORTS = 2; // for clients, for operators
    private static final Pattern EMPTY = Pattern.compile("(?m)^apogee_outbox_backlog_messages 0$");

    private final int port = Ports.free(PORTS);
    private final Member agent;
    private final OneBroker cluster;

    BehindOutbox(Plan plan) throws IOException {
        super(plan);
        cluster = new OneBroker(new Plan(Kind.APOGEE, plan.folder.resolve("cluster"), plan.apogee, plan.stockJars, plan.operator, plan.settings));
        List<String> command = new ArrayList<>(List.of(plan.apogee, "outbox", "--set", "namesrvAddr=" + cluster.nameserverAddress(),
            "--set", "storePathRootDir=" + plan.folder.resolve("outbox"), "--set", "listenPort=" + port, "--set", "adminListenPort=" + (port + 1),
            "--set", "messageDelayLevel=" + DELAY_LEVELS));
        command.addAll(accessOfOperator());
        agent = member("agent", command);
    }

    @Override
    List<String> nameservers() {
        return List.of(loopback(port));
    }

    @Override
    void begin() throws Exception {
        cluster.begin();
        startAgent();
        awaitAll();
    }

    @Override
    void restartBroker() throws Exception {
        cluster.restartBroker();
        awaitAll();
    }

    /** The agent dies along with the broker. */
    @Override
    void crashBroker() throws Exception {
        killCluster();
        killAgent();
        startAgent();
        startCluster();
    }

    /** Ends the only broker and the only nameserver. */
    void killCluster() throws InterruptedException {
        cluster.killBroker();
    }

    void startCluster() throws Exception {
        cluster.startBroker();
        awaitAll();
    }

    void killAgent() throws InterruptedException {
        agent.kill();
    }

    /** Starts the agent; whether there is anybody behind it doesn't matter. */
    void startAgent() throws IOException {
        agent.start();
    }

    /** Waits until the agent has nothing left to send on. */
    void awaitEmpty() throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + loopback(port + 1) + "/metrics")).build();
        Check.eventually("the outbox is empty", () -> EMPTY.matcher(client.send(request, HttpResponse.BodyHandlers.ofString()).body()).find());
    }

    @Override
    public void close() {
        super.close();
        cluster.close();
    }
}
