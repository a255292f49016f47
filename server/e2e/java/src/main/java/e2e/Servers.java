package e2e;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** The servers that the cases run against: a nameserver and a broker on free ports of loopback, in a new folder. */
final class Servers implements AutoCloseable {
    /** Whose nameserver and whose broker. */
    enum Kind {
        APOGEE(false, false), STOCK_NAMESERVER(true, false), STOCK_BROKER(false, true), STOCK(true, true);

        final boolean stockNameserver;
        final boolean stockBroker;

        Kind(boolean stockNameserver, boolean stockBroker) {
            this.stockNameserver = stockNameserver;
            this.stockBroker = stockBroker;
        }
    }

    static final String CLUSTER = "DefaultCluster";
    static final String BROKER_NAME = "broker-a";
    /** What is off in one of the two brokers, and waits that are long where nobody watches. Level 18 is the long one. */
    private static final String USED_BY_CASES = "enablePropertyFilter=true\nrecallMessageEnable=true\ntransactionTimeOut=2000\n"
        + "cleanFileForciblyEnable=false\n"
        + "transactionCheckInterval=1000\nmessageDelayLevel=1s 2s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 10s\n";
    private static final int PORTS = 8; // nameserver first; RocketMQ's broker uses three beside its own
    private static final int BROKER_PORT_AT = 4;
    private static final int STOP_SECONDS = 40;

    final Kind kind;
    private final Path folder;
    private final String apogee;
    private final String stockJars;
    private final Access operator;
    private final List<String> settings;
    private final int port;
    private final List<Process> processes = new ArrayList<>();
    private Process broker;

    /** Starts both. apogee is the binary, stockJars the folder with RocketMQ's jars. */
    Servers(Kind kind, Path folder, String apogee, String stockJars) throws Exception {
        this(kind, folder, apogee, stockJars, Access.OPEN, List.of());
    }

    private Servers(Kind kind, Path folder, String apogee, String stockJars, Access operator, List<String> settings) throws Exception {
        this.kind = kind;
        this.folder = folder;
        this.apogee = apogee;
        this.stockJars = stockJars;
        this.operator = operator;
        this.settings = settings;
        this.port = freePorts();
        Files.createDirectories(folder.resolve("store"));
        try {
            if (kind != Kind.APOGEE) {
                startNameserver();
            }
            startBroker();
        } catch (Exception | Error e) {
            close();
            throw e;
        }
    }

    /** Further servers of the same kind, in a folder below this one's. The operator may ask for routes and for what the broker does. */
    Servers another(String name, Access operator, String... settings) throws Exception {
        return new Servers(kind, folder.resolve(name), apogee, stockJars, operator, List.of(settings));
    }

    /** Where a case may leave files. */
    Path folder() {
        return folder;
    }

    String nameserverAddress() {
        return "127.0.0.1:" + port;
    }

    String brokerAddress() {
        return "127.0.0.1:" + (port + BROKER_PORT_AT);
    }

    /** Stops the broker in order and starts it again on its data. Where it has the nameserver inside, that goes along. */
    void restartBroker() throws Exception {
        stop(broker);
        startBroker();
    }

    /** Ends the broker as kill -9 does and starts it again. RocketMQ's is stopped in order: it doesn't promise as much. */
    void crashBroker() throws Exception {
        if (kind.stockBroker) {
            restartBroker();
            return;
        }
        broker.destroyForcibly().waitFor();
        startBroker();
    }

    private void startNameserver() throws IOException {
        if (kind.stockNameserver) {
            Path file = write("namesrv.conf", "listenPort=" + port + "\nbindAddress=127.0.0.1\n");
            run("namesrv", java("-Xmx256m", "org.apache.rocketmq.namesrv.NamesrvStartup", file));
            return;
        }
        run("namesrv", List.of(apogee, "namesrv", "--set", "listenPort=" + port, "--set", "adminListenPort=0",
            "--set", "kvConfigPath=" + folder.resolve("kvConfig.json")));
    }

    private void startBroker() throws Exception {
        String config = "listenPort=" + (port + BROKER_PORT_AT) + "\nbrokerName=" + BROKER_NAME + "\nbrokerClusterName=" + CLUSTER
            + "\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nautoCreateTopicEnable=true\nstorePathRootDir=" + folder.resolve("store")
            + "\n" + USED_BY_CASES + String.join("\n", settings) + "\n";
        if (kind.stockBroker) {
            Path file = write("broker.conf", config + "namesrvAddr=" + nameserverAddress() + "\nstorePathCommitLog="
                + folder.resolve("store/commitlog") + "\nflushDiskType=ASYNC_FLUSH"
                // A JVM that has just started is slow; by default it drops what waits for 200 ms.
                + "\nwaitTimeMillsInSendQueue=10000\n");
            broker = run("broker", java("-Xmx1g", "org.apache.rocketmq.broker.BrokerStartup", file));
        } else if (kind == Kind.APOGEE) {
            Path file = write("broker.conf", config + "namesrvListenPort=" + port + "\nadminListenPort=0\n");
            broker = run("broker", List.of(apogee, "server", "-c", file.toString()));
        } else {
            Path file = write("broker.conf", config + "namesrvAddr=" + nameserverAddress() + "\nadminListenPort=0\n");
            broker = run("broker", List.of(apogee, "broker", "-c", file.toString()));
        }
        awaitBroker();
    }

    /** Waits until the nameserver knows the broker and the broker answers. */
    private void awaitBroker() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(operator.hook, 1_000);
        admin.setInstanceName("await-" + System.nanoTime());
        admin.setUseTLS(operator.tls);
        admin.setNamesrvAddr(nameserverAddress());
        admin.start();
        try {
            Check.eventually("broker is registered and answers; see " + folder, () -> {
                if (!broker.isAlive()) {
                    throw new IllegalStateException("the broker has ended; see " + folder.resolve("broker.log"));
                }
                return admin.examineTopicRouteInfo("TBW102").getBrokerDatas().size() == 1
                    && !admin.fetchBrokerRuntimeStats(brokerAddress()).getTable().isEmpty();
            });
        } finally {
            admin.shutdown();
        }
    }

    private List<String> java(String memory, String main, Path config) {
        return List.of("java", memory, "-Duser.home=" + folder, "-Drocketmq.home.dir=" + folder,
            "-cp", stockJars + "/*", main, "-c", config.toString());
    }

    private Path write(String name, String text) throws IOException {
        return Files.writeString(folder.resolve(name), text);
    }

    private Process run(String name, List<String> command) throws IOException {
        File log = folder.resolve(name + ".log").toFile();
        Process process = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log)).start();
        processes.add(process);
        return process;
    }

    private static void stop(Process process) throws InterruptedException {
        process.destroy();
        if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            throw new AssertionError("a server did not stop in " + STOP_SECONDS + " s: " + process.info().commandLine().orElse(""));
        }
    }

    /** The first of several ports that nobody uses now. */
    private static int freePorts() throws IOException {
        for (int attempt = 0; attempt < 100; attempt++) {
            int first;
            try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                first = probe.getLocalPort();
            }
            if (first + PORTS <= 65_535 && allFree(first)) {
                return first;
            }
        }
        throw new IOException("no " + PORTS + " free ports in a row");
    }

    private static boolean allFree(int first) {
        for (int i = 0; i < PORTS; i++) {
            try (ServerSocket probe = new ServerSocket(first + i, 1, InetAddress.getLoopbackAddress())) {
                probe.getLocalPort();
            } catch (IOException e) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void close() {
        try {
            for (int i = processes.size() - 1; i >= 0; i--) {
                stop(processes.get(i));
            }
        } catch (InterruptedException e) {
            processes.forEach(Process::destroyForcibly);
            Thread.currentThread().interrupt();
        }
    }
}
