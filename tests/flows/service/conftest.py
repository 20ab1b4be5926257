"""One service over the demo's data for the tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.service_process import Service, demo_workspace, running


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Runs until the package's tests are done; its warehouse is filled by the first calls."""
    with running(demo_workspace(tmp_path_factory.mktemp("service"))) as found:
        yield found
