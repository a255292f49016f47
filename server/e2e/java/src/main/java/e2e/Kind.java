package e2e;

import java.util.Locale;
import java.util.Map;

/** Whose servers the cases run against, and how many. */
enum Kind {
    /** A broker of Apogee with the nameserver inside. */
    APOGEE(1, 1),
    /** Three processes that keep the same log; one leads. */
    APOGEE_GROUP(1, 3),
    /** Three processes that run three groups, one led by each. */
    APOGEE_CLUSTER(3, 3),
    /** A master that waits for its slave. */
    APOGEE_MASTER_SLAVE(1, 2),
    /** A broker of Apogee behind an outbox, which is all that clients know. */
    APOGEE_OUTBOX(1, 1),
    /** Apogee's broker at RocketMQ's nameserver. */
    STOCK_NAMESERVER(1, 1),
    /** RocketMQ's broker at Apogee's nameserver. */
    STOCK_BROKER(1, 1),
    /** Both RocketMQ's. */
    STOCK(1, 1);

    /** Reasons why cases can't be tried, by the beginning of their names. */
    private static final Map<Kind, Map<String, String>> LEFT_OUT = Map.of(
        APOGEE_OUTBOX, Map.of("send: through the fast port", "an outbox has one port for each broker",
            "tls: ", "an outbox serves its own machine alone, without TLS",
            "mqadmin: queryMsgById and queryMsgByUniqueKey say who", "mqadmin compares a broker's address in the message with that in the route, which is the outbox's"));

    /** How many names brokers have in routes, and how many processes keep what one of them stores. */
    final int brokers;
    final int replicas;
    final boolean stockNameserver;
    final boolean stockBroker;

    Kind(int brokers, int replicas) {
        this.brokers = brokers;
        this.replicas = replicas;
        stockNameserver = name().equals("STOCK") || name().equals("STOCK_NAMESERVER");
        stockBroker = name().equals("STOCK") || name().equals("STOCK_BROKER");
    }

    /** The kind that a word of the command line names. */
    static Kind named(String word) {
        return valueOf(word.toUpperCase(Locale.ROOT).replace('-', '_'));
    }

    boolean allApogee() {
        return !stockNameserver && !stockBroker;
    }

    /** Whether another process takes over when the one that leads is killed. */
    boolean replicated() {
        return replicas > 1;
    }

    /** Why a case can't be tried; null where it can. */
    String leavesOut(String name) {
        return LEFT_OUT.getOrDefault(this, Map.of()).entrySet().stream().filter(e -> name.startsWith(e.getKey()))
            .map(Map.Entry::getValue).findFirst().orElse(null);
    }
}
