package e2e;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** One process of the servers. It may end and be started again, with the same command. */
final class Member {
    private static final int STOP_SECONDS = 40;

    private final Path folder;
    private final String name;
    private final List<String> command;
    private Process process;

    /** Runs in the folder, and writes what it prints to a file there that has its name. */
    Member(Path folder, String name, List<String> command) {
        this.folder = folder;
        this.name = name;
        this.command = command;
    }

    void start() throws IOException {
        File log = folder.resolve(name + ".log").toFile();
        Process started = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log)).start();
        Runtime.getRuntime().addShutdownHook(new Thread(started::destroyForcibly)); // where this process is ended before its time
        process = started;
    }

    /** Ends it in order. */
    void stop() throws InterruptedException {
        if (process == null) {
            return;
        }
        process.destroy();
        if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            throw new AssertionError(name + " did not stop in " + STOP_SECONDS + " s; see " + folder);
        }
    }

    /** Ends it as kill -9 does. */
    void kill() throws InterruptedException {
        if (process != null) {
            process.destroyForcibly().waitFor();
        }
    }

    /** Fails where the process has ended by itself. */
    void mustLive() {
        if (!process.isAlive()) {
            throw new IllegalStateException(name + " has ended; see " + folder.resolve(name + ".log"));
        }
    }
}
