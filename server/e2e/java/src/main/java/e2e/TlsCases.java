package e2e;

import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.remoting.netty.TlsSystemConfig;

/** Clients over TLS. What tls.enable and the other properties say stands in static fields, so these cases run alone. */
final class TlsCases implements Suite {
    private static final Access TLS = new Access(null, true);
    private static final int SHORT_MILLIS = 3_000;

    @Override
    public void declare(Cases cases) {
        if (!cases.servers().kind.allApogee()) {
            return;
        }
        cases.addAlone("tls: enforced, clients with tls.enable are served, also after a kill, others are not", TlsCases::enforced);
        cases.addAlone("tls: permissive, clients with and without are served", TlsCases::permissive);
        cases.addAlone("tls: server and clients show certificates", TlsCases::certificates);
    }

    private static void enforced(Scope scope) throws Exception {
        Servers servers = scope.servers(TLS, "tls.server.mode=enforcing", "tls.enable=true");
        TlsSystemConfig.tlsEnable = true;
        scope.onClose(() -> TlsSystemConfig.tlsEnable = false);
        Scope clients = scope.at(servers, TLS);
        String topic = clients.topic(2);
        DefaultMQProducer producer = clients.producer();
        Scope.send(producer, topic, "t", 20);
        Received received = new Received(clients, topic, "*");
        received.awaitNumbers(20);
        Check.contains(Mqadmin.run(servers, "clusterList"), servers.brokerAddress());
        servers.crashBroker();
        for (int i = 20; i < 40; i++) {
            Scope.sendUntilStored(producer, Scope.message(topic, "t", Integer.toString(i)), null);
        }
        received.awaitNumbers(40);

        DefaultMQProducer plain = scope.at(servers, Access.OPEN).producer();
        refused(plain, topic, "a client without TLS");
    }

    private static void permissive(Scope scope) throws Exception {
        Scope clients = scope.at(scope.servers, TLS);
        String topic = clients.topic(2);
        Received plain = new Received(scope, topic, "*");
        Received encrypted = new Received(clients, topic, "*");
        Scope.send(clients.producer(), topic, "t", 20);
        plain.awaitNumbers(20);
        encrypted.awaitNumbers(20);
    }

    private static void certificates(Scope scope) throws Exception {
        Certificate server = new Certificate(scope.servers.folder(), "server");
        Certificate client = new Certificate(scope.servers.folder(), "client");
        Certificate stranger = new Certificate(scope.servers.folder(), "stranger");
        scope.onClose(TlsCases::forget);
        TlsSystemConfig.tlsTestModeEnable = false;
        TlsSystemConfig.tlsClientAuthServer = true;
        TlsSystemConfig.tlsClientTrustCertPath = server.certificate.toString();
        show(client);
        Servers servers = scope.servers(TLS, "tls.server.mode=enforcing", "tls.server.certPath=" + server.certificate,
            "tls.server.keyPath=" + server.key, "tls.server.need.client.auth=require", "tls.server.authClient=true",
            "tls.server.trustCertPath=" + client.certificate,
            // Towards other nodes, which ask for certificates as well.
            "tls.enable=true", "tls.client.certPath=" + client.certificate, "tls.client.keyPath=" + client.key);
        Scope clients = scope.at(servers, TLS);
        String topic = clients.topic(2);
        DefaultMQProducer producer = clients.producer();
        Scope.send(producer, topic, "t", 20);
        new Received(clients, topic, "*").awaitNumbers(20);

        show(stranger);
        refused(clients.producer(), topic, "a client with another certificate");
        show(client);
        TlsSystemConfig.tlsClientTrustCertPath = stranger.certificate.toString();
        refused(clients.producer(), topic, "a server with another certificate");
    }

    /** From here on new clients have this certificate. */
    private static void show(Certificate of) {
        TlsSystemConfig.tlsClientCertPath = of.certificate.toString();
        TlsSystemConfig.tlsClientKeyPath = of.key.toString();
    }

    private static void forget() {
        TlsSystemConfig.tlsTestModeEnable = true;
        TlsSystemConfig.tlsClientAuthServer = false;
        TlsSystemConfig.tlsClientTrustCertPath = null;
        TlsSystemConfig.tlsClientCertPath = null;
        TlsSystemConfig.tlsClientKeyPath = null;
    }

    private static void refused(DefaultMQProducer producer, String topic, String what) {
        Check.refused(what, () -> producer.send(Scope.message(topic, "t", "refused"), SHORT_MILLIS));
    }
}
