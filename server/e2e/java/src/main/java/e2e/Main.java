package e2e;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Starts servers, runs all cases against them, prints one line for each, and ends with 1 if one failed.
 * Arguments: kind of servers, folder for their data, binary of Apogee, folder of RocketMQ's jars, label, pattern of names.
 */
public final class Main {
    /** Standard output as it was at the start: commands that are tried here get another one. */
    static final PrintStream OUT = System.out;

    private static final List<Suite> SUITES = List.of(new SendCases(), new PushCases(), new PullCases(), new TopicCases(),
        new QueryCases(), new FilterCases(), new RetryCases(), new OrderCases(), new DelayCases(), new TransactionCases(), new RequestCases(),
        new KillCases(), new ProgressCases(), new AccessCases(), new TlsCases(), new TraceCases(), new AdminCases(), new AdminMessageCases(),
        new ReplicaAdminCases(), new FailoverCases(), new OutboxCases());

    private Main() {
    }

    public static void main(String[] args) throws Exception {
        System.setOut(System.err); // some clients log there
        int failed;
        try (Servers servers = Servers.start(new Servers.Plan(Kind.named(args[0]), Path.of(args[1]), args[2], args[3], Access.OPEN, List.of()))) {
            Cases cases = new Cases(servers, args[4], Pattern.compile(args[5]));
            for (Suite suite : SUITES) {
                suite.declare(cases);
            }
            failed = cases.run();
        }
        // Clients leave threads behind that would keep the process alive.
        System.exit(failed == 0 ? 0 : 1);
    }
}
