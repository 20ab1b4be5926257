"""A certificate for 127.0.0.1 that nobody but the test trusts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.real_servers import program


def self_signed(folder: Path) -> tuple[Path, Path]:
    """The certificate and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [program("openssl", "openssl"), "req", "-x509", "-nodes", "-days", "2"]
    command += ["-newkey", "rsa:2048", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
