"""`verdict serve`: the gate over HTTP, for Flagger, Argo Rollouts and pipelines."""

from __future__ import annotations

import argparse
import errno
from functools import partial
from pathlib import Path

from flows.cli.arguments import USAGE_ERROR, Commands, command, whole_number
from flows.cli.lines import complain
from flows.formats import apart
from flows.formats.problems import os_reason


def add(commands: Commands) -> None:
    """Adds the command."""
    serve = command(
        commands,
        "serve",
        _serve,
        "answer Flagger's and Argo Rollouts' calls over HTTP",
        narrates=True,
        shows_time=False,
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    serve.add_argument(
        "--port", type=whole_number(0, 65535), default=8080, help="default: 8080; 0: a free one"
    )
    serve.add_argument(
        "--token-env",
        metavar="NAME",
        help="environment variable with the token that callers must send; needed for a --host "
        "that others reach",
    )
    serve.add_argument(
        "--grant",
        action="append",
        default=[],
        metavar="NAME=RIGHT:EXPERIMENT,...",
        help="the token in the variable NAME may read the latest verdict (RIGHT is read) or have "
        "new ones decided (decide) of these experiments, * for all; may be repeated",
    )
    serve.add_argument("--certificate", type=Path, metavar="FILE", help="PEM; answers by TLS")
    serve.add_argument("--key", type=Path, metavar="FILE", help="the certificate's private key")


def _serve(options: argparse.Namespace) -> int:
    import logging  # noqa: PLC0415
    import os  # noqa: PLC0415

    from flows.notify import warn_of_wrong_urls  # noqa: PLC0415
    from flows.service.authentication import TokenRefused, token_for  # noqa: PLC0415
    from flows.service.grants import read_grants  # noqa: PLC0415
    from flows.service.server import ServerIdentity, listen, serve  # noqa: PLC0415

    if (options.certificate is None) != (options.key is None):
        complain("--certificate and --key belong together: name both")
        return USAGE_ERROR
    tls = ServerIdentity(options.certificate, options.key) if options.key else None
    try:
        if tls is not None:
            tls.context()
    except (OSError, ValueError) as error:
        told = getattr(error, "filename", None) or f"{options.certificate} and {options.key}"
        complain(f"can't serve with {told}: {os_reason(error)}")
        return USAGE_ERROR
    try:
        grants = read_grants(options.grant, os.environ)
        token = token_for(options.host, options.token_env, os.environ, grants)
        listening = listen(options.host, options.port)
    except TokenRefused as error:
        complain(error)
        return USAGE_ERROR
    except OSError as error:
        reason = os_reason(error)
        if error.errno == errno.EADDRINUSE:
            reason = "the port is in use; choose another --port"
        complain(f"can't listen on {options.host} port {options.port}: {reason}")
        return USAGE_ERROR
    log = logging.getLogger(__name__)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    apart.begin(partial(warn_of_wrong_urls, options.workspace.warehouse, log.warning))
    serve(options.workspace, listening, token=token, grants=grants, tls=tls)
    return 0
