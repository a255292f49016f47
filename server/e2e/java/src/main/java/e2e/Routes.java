package e2e;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What nameservers tell of brokers. */
final class Routes {
    private static final int TIMEOUT_MILLIS = 1_000;
    private static final long MASTER = 0;

    private Routes() {
    }

    /** What is waited for. Addresses are by broker id. */
    interface Condition {
        boolean holds(Map<String, Map<Long, String>> brokers);
    }

    /**
     * Waits until each nameserver tells of so many brokers with a master that answers, and the condition holds.
     * Returns the masters' addresses, by the brokers' names.
     */
    static Map<String, String> await(Access access, List<String> nameservers, int brokers, String what, Condition condition) throws Exception {
        Map<String, String> masters = new TreeMap<>();
        for (String nameserver : nameservers) {
            DefaultMQAdminExt admin = new DefaultMQAdminExt(access.hook, TIMEOUT_MILLIS);
            admin.setInstanceName("await-" + System.nanoTime());
            admin.setUseTLS(access.tls);
            admin.setNamesrvAddr(nameserver);
            admin.start();
            try {
                Check.eventually(what + ", at nameserver " + nameserver, () -> {
                    Map<String, Map<Long, String>> all = brokers(admin);
                    masters.clear();
                    all.forEach((name, addresses) -> masters.put(name, addresses.get(MASTER)));
                    return all.size() == brokers && condition.holds(all) && answer(admin, masters);
                });
            } finally {
                admin.shutdown();
            }
        }
        return masters;
    }

    private static Map<String, Map<Long, String>> brokers(DefaultMQAdminExt admin) throws Exception {
        Map<String, Map<Long, String>> all = new TreeMap<>();
        // The type of the elements lies in different packages in 4.x and 5.x.
        for (var broker : admin.examineTopicRouteInfo("TBW102").getBrokerDatas()) {
            all.put(broker.getBrokerName(), broker.getBrokerAddrs());
        }
        return all;
    }

    private static boolean answer(DefaultMQAdminExt admin, Map<String, String> masters) throws Exception {
        for (String address : masters.values()) {
            if (address == null || admin.fetchBrokerRuntimeStats(address).getTable().isEmpty()) {
                return false;
            }
        }
        return true;
    }
}
