package e2e;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A nameserver and a broker; where both are Apogee's, in one process. */
final class OneBroker extends Servers {
    private static final int PORTS = 8; // nameserver first; RocketMQ's broker uses three beside its own
    private static final int BROKER_PORT_AT = 4;

    private final int port = Ports.free(PORTS);
    private final Member nameserver;
    private final Member broker;

    OneBroker(Plan plan) throws IOException {
        super(plan);
        Files.createDirectories(plan.folder.resolve("store"));
        nameserver = kind.allApogee() ? null : member("namesrv", nameserverCommand());
        broker = member("broker", brokerCommand());
    }

    @Override
    void begin() throws Exception {
        if (nameserver != null) {
            nameserver.start();
        }
        startBroker();
    }

    @Override
    List<String> nameservers() {
        return List.of(loopback(port));
    }

    @Override
    void restartBroker() throws Exception {
        broker.stop();
        startBroker();
    }

    /** RocketMQ's is stopped in order: it doesn't promise as much. */
    @Override
    void crashBroker() throws Exception {
        if (kind.stockBroker) {
            restartBroker();
            return;
        }
        killBroker();
        startBroker();
    }

    void killBroker() throws InterruptedException {
        broker.kill();
    }

    void startBroker() throws Exception {
        broker.start();
        awaitAll();
    }

    private List<String> nameserverCommand() throws IOException {
        if (kind.stockNameserver) {
            Path file = write("namesrv.conf", "listenPort=" + port + "\nbindAddress=127.0.0.1\n");
            return java("-Xmx256m", "org.apache.rocketmq.namesrv.NamesrvStartup", file);
        }
        return List.of(plan.apogee, "namesrv", "--set", "listenPort=" + port, "--set", "adminListenPort=0",
            "--set", "kvConfigPath=" + plan.folder.resolve("kvConfig.json"));
    }

    private List<String> brokerCommand() throws IOException {
        Path store = plan.folder.resolve("store");
        String config = config(List.of("listenPort=" + (port + BROKER_PORT_AT), "brokerName=" + BROKER, "storePathRootDir=" + store));
        if (kind.stockBroker) {
            Path file = write("broker.conf", config + "namesrvAddr=" + loopback(port) + "\nstorePathCommitLog=" + store.resolve("commitlog")
                + "\nflushDiskType=ASYNC_FLUSH"
                // A JVM that has just started is slow; by default it drops what waits for 200 ms.
                + "\nwaitTimeMillsInSendQueue=10000\n");
            return java("-Xmx1g", "org.apache.rocketmq.broker.BrokerStartup", file);
        }
        if (kind.stockNameserver) {
            Path file = write("broker.conf", config + "namesrvAddr=" + loopback(port) + "\nadminListenPort=0\n");
            return List.of(plan.apogee, "broker", "-c", file.toString());
        }
        Path file = write("broker.conf", config + "namesrvListenPort=" + port + "\nadminListenPort=0\n");
        return List.of(plan.apogee, "server", "-c", file.toString());
    }

    private List<String> java(String memory, String main, Path config) {
        return List.of("java", memory, "-Duser.home=" + plan.folder, "-Drocketmq.home.dir=" + plan.folder,
            "-cp", plan.stockJars + "/*", main, "-c", config.toString());
    }
}
