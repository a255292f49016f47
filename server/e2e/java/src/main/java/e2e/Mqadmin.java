package e2e;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** Commands of mqadmin as an operator gives them. They run in this process, whose output they take: one at a time. */
final class Mqadmin {
    private static final int ATTEMPTS = 5;
    private static final int PAUSE_MILLIS = 1_000;

    private Mqadmin() {
    }

    /**
     * Runs a command and returns what it has printed. The client inside mqadmin now and then finds its own new
     * connection not there, with RocketMQ's servers as well; then the command is given again a little later.
     */
    static String run(Servers servers, String... arguments) throws InterruptedException {
        for (int attempt = 1; ; attempt++) {
            try {
                return attempt(servers, arguments);
            } catch (AssertionError e) {
                if (attempt == ATTEMPTS || !e.getMessage().contains("RemotingConnectException: connect to  failed")) {
                    throw e;
                }
                Thread.sleep(PAUSE_MILLIS);
            }
        }
    }

    private static String attempt(Servers servers, String... arguments) {
        String text = output(servers, arguments);
        if (Pattern.compile("(?m)^\\tat ").matcher(text).find()) {
            // Of a stack trace what says why.
            Matcher why = Pattern.compile("(?m)^(Caused by: .*|.*DESC:.*)$").matcher(text);
            throw new AssertionError("mqadmin " + String.join(" ", arguments) + ": " + (why.find() ? why.group() : text));
        }
        return text;
    }

    /** Runs a command once and returns what it has printed, be it the trace of an exception. */
    static String output(Servers servers, String... arguments) {
        String[] all = new String[arguments.length + 2];
        System.arraycopy(arguments, 0, all, 0, arguments.length);
        all[arguments.length] = "-n";
        all[arguments.length + 1] = servers.nameserversForMqadmin();
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8);
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setOut(capture);
        System.setErr(capture);
        try {
            forgetCommands();
            MQAdminStartup.main0(all, null);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        return printed.toString(StandardCharsets.UTF_8);
    }

    /** Makes mqadmin begin afresh, as in a process of its own: some commands keep clients that they have shut down. */
    private static void forgetCommands() {
        try {
            for (Field field : MQAdminStartup.class.getDeclaredFields()) {
                if (List.class.isAssignableFrom(field.getType())) { // its name differs in 4.x and 5.x
                    field.setAccessible(true);
                    ((List<?>) field.get(null)).clear();
                }
            }
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Runs a command until it succeeds and its output has all parts. */
    static void eventually(Servers servers, String[] command, String... parts) throws Exception {
        String[] last = {""};
        Callable<Boolean> complete = () -> {
            try {
                last[0] = run(servers, command);
            } catch (AssertionError e) {
                last[0] = e.getMessage();
                return false;
            }
            for (String part : parts) {
                if (!Pattern.compile(part).matcher(last[0]).find()) {
                    return false;
                }
            }
            return true;
        };
        try {
            Check.eventually(String.join(" ", command) + " prints " + String.join(", ", parts), complete);
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; the last time it printed:\n" + last[0], e.getCause());
        }
    }

    /** The words of a command, for eventually. */
    static String[] command(String... words) {
        return words;
    }
}
