"""A broker that lets in only whom it knows: by a password over TLS, or by a certificate of one's own."""

from pathlib import Path
from typing import Any, Final

import trustme
from cryptography.hazmat.primitives import serialization

from deploy.kafka.broker import free_ports

USER: Final = "simorgh"
PASSWORD: Final = "pass-of-tests"

_PROPERTIES: Final = """
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PASSWORD:SASL_SSL,CERTIFICATE:SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.password.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.password.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.password.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
listener.name.certificate.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
"""


class Secured:
    """A broker's options, and how to come in. `folder` holds the certificates, clients' too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _write_certificates(folder)
        port, controller, by_password, by_certificate = free_ports(4)
        self.by_password, self.by_certificate = f"127.0.0.1:{by_password}", f"127.0.0.1:{by_certificate}"
        listeners = [f"PLAINTEXT://127.0.0.1:{port}", f"PASSWORD://{self.by_password}"]
        listeners.append(f"CERTIFICATE://{self.by_certificate}")
        scram = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
        self.options: dict[str, Any] = {
            "ports": (port, controller),
            "more": _PROPERTIES.format(
                listeners=",".join(listeners), controller=controller, folder=folder, user=USER, password=PASSWORD
            ),
            "formatting": [option for one in scram for option in ("--add-scram", one)],
        }

    def password(self, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Security settings of a client that has a password."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.folder / "ca.pem"),
        }

    def certificate(self) -> dict[str, str]:
        """Of one that has a certificate."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.folder / "ca.pem"),
            "ssl.certificate.location": str(self.folder / "client.pem"),
            "ssl.key.location": str(self.folder / "client.key"),
        }


def _write_certificates(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other-ca.pem"))
    server = authority.issue_cert("127.0.0.1")
    (folder / "server.pem").write_bytes(_pkcs8(server.private_key_pem.bytes()) + server.cert_chain_pems[0].bytes())
    client = authority.issue_cert("client@example.com")
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))


def _pkcs8(key: bytes) -> bytes:
    """The key in the form that Java reads."""
    private = serialization.load_pem_private_key(key, None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.private_bytes(*form)
