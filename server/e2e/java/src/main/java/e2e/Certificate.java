package e2e;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Base64;

/** A certificate that signs itself, and its key, in the files that TLS settings name. */
final class Certificate {
    private static final char[] PASSWORD = "password".toCharArray();
    private static final int LINE = 64;

    final Path certificate;
    final Path key;

    /** Makes files whose names begin with name. */
    Certificate(Path folder, String name) throws Exception {
        Path store = folder.resolve(name + ".p12");
        Process keytool = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "keytool").toString(), "-genkeypair",
            "-alias", name, "-dname", "CN=" + name, "-ext", "san=ip:127.0.0.1", "-keyalg", "RSA", "-keysize", "2048", "-validity", "2",
            "-storetype", "PKCS12", "-storepass", new String(PASSWORD), "-keystore", store.toString()).redirectErrorStream(true).start();
        String printed = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        Check.same(0, keytool.waitFor(), "exit of keytool, which printed " + printed);
        KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD);
        certificate = write(folder.resolve(name + ".pem"), "CERTIFICATE", keys.getCertificate(name).getEncoded());
        key = write(folder.resolve(name + ".key"), "PRIVATE KEY", keys.getKey(name, PASSWORD).getEncoded());
    }

    private static Path write(Path file, String kind, byte[] content) throws Exception {
        String text = Base64.getMimeEncoder(LINE, new byte[] {'\n'}).encodeToString(content);
        return Files.writeString(file, "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n");
    }
}
