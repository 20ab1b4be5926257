"""The errors that a person can act on: shown as one line, never as a traceback."""

from flows.baseline_history import CannotCalibrate
from flows.delivery_controller import CannotDeliver
from flows.delivery_lease import LeaseHeld, LeaseLost
from flows.look_time import TimeInFuture
from flows.plan_expected import NoHistory
from flows.publish import PublishFailed
from flows.selection import NoSpecs
from flows.sources.samples import SourceRefused, SourceUnavailable
from flows.sources.unit_rows import UnitDataRefused
from flows.spec_file import SpecError
from flows.targets.target import (
    NewerController,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from flows.unit_staging import StagingFailed
from flows.verdict_document import VerdictNotWritten
from flows.warehouse import WarehouseBusy, WarehouseUnusable

TROUBLE = (
    CannotCalibrate,
    CannotDeliver,
    LeaseHeld,
    LeaseLost,
    NewerController,
    NoHistory,
    NoSpecs,
    PublishFailed,
    SourceRefused,
    SourceUnavailable,
    SpecError,
    SplitChanged,
    StagingFailed,
    TargetRefused,
    TargetUnavailable,
    TimeInFuture,
    UnitDataRefused,
    VerdictNotWritten,
    WarehouseBusy,
    WarehouseUnusable,
)
