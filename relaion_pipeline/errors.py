"""Errors that are expected: their messages say what, where and what to do, and hold no entry or value."""

from relaion_pipeline.audit.explain import ExplainError
from relaion_pipeline.audit.published import NoReleaseError
from relaion_pipeline.database import QueryError
from relaion_pipeline.feeds.blocklist import BlocklistError
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline.history.rollback import RollbackError
from relaion_pipeline.ledger.segments import LedgerError
from relaion_pipeline.ledger.settling import SettlingError
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.release.editions import EditionError
from relaion_pipeline.release.lock import LockedError
from relaion_pipeline.release.manifest import ManifestError
from relaion_pipeline.release.readiness import ReleaseRefusedError
from relaion_pipeline.release.signature import SignatureError
from relaion_pipeline.screening.breadth import BroadEntryError
from relaion_pipeline.screening.keywords import KeywordError
from relaion_pipeline.screening.screen import ScreeningError
from relaion_pipeline.settings import SettingsError
from relaion_pipeline.shards import ShardError
from relaion_pipeline.takedowns import TakedownError
from relaion_pipeline.verification.verifier import VerificationError

EXPECTED_ERRORS = (
    BlocklistError,
    BroadEntryError,
    EditionError,
    ExplainError,
    FeedError,
    KeywordError,
    LedgerError,
    LockedError,
    ManifestError,
    NoReleaseError,
    PublishError,
    QueryError,
    ReleaseRefusedError,
    RollbackError,
    ScreeningError,
    SettingsError,
    SettlingError,
    SignatureError,
    ShardError,
    TakedownError,
    VerificationError,
)
