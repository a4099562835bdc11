"""A certificate that nobody vouches for."""

import subprocess
from pathlib import Path


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Files of a fresh certificate for 127.0.0.1 and of its key; needs the openssl program."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=127.0.0.1"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return certificate, key
