"""The registry of list formats. `docs/feeds.md` has a row for each; a test sees to it."""

from relaion_pipeline.feeds.delimited import Csv, Tsv
from relaion_pipeline.feeds.domains import AdGuard, Dnsmasq, Hosts, Squid, Ut1, Wildcard
from relaion_pipeline.feeds.misp import Misp
from relaion_pipeline.feeds.ncmec import Ncmec
from relaion_pipeline.feeds.partners import C3p, Jsonl, StopNcii, TechAgainstTerrorism
from relaion_pipeline.feeds.reader import Reader
from relaion_pipeline.feeds.stix import Stix
from relaion_pipeline.feeds.text import Text
from relaion_pipeline.feeds.threatexchange import ThreatExchange

READERS: dict[str, type[Reader]] = {
    "adguard": AdGuard,
    "c3p": C3p,
    "csv": Csv,
    "dnsmasq": Dnsmasq,
    "hosts": Hosts,
    "jsonl": Jsonl,
    "misp": Misp,
    "ncmec": Ncmec,
    "squid": Squid,
    "stix": Stix,
    "stopncii": StopNcii,
    "tat": TechAgainstTerrorism,
    "text": Text,
    "threatexchange": ThreatExchange,
    "tsv": Tsv,
    "ut1": Ut1,
    "wildcard": Wildcard,
}
"""Reader by the settings' `format`; `declaration.KINDS_OF_FORMAT` has the kinds that go with each."""
