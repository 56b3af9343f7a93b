"""An auditor's report as one page that needs nothing else: no script, no network."""

from relaion_pipeline.audit.lines import Audit, State
from relaion_pipeline.release import report


def render(audit: Audit) -> str:
    """The whole page."""
    return report.environment("relaion_pipeline.audit").get_template("audit.html.j2").render(audit=audit, State=State)
