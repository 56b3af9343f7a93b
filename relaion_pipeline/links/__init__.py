"""What a link is, and in which spellings it is matched. `docs/links.md` explains the rules.

canonical.py    the canonicaliser and the key under which plain links are compared
escapes.py      entities, percent-escapes, defanged spellings
expressions.py  Safe Browsing's expressions, listed prefixes
forms.py        the spellings matched against hashed lists
hosts.py        hosts, listed domains, public suffixes
plain.py        which links need no work
rows.py         the links of many rows turned into keys, by the road that fits each
tidy.py         which other links SQL can spell
tidy_forms.py   their forms, match keys and hosts in SQL
vectorised.py   all of this in DuckDB for plain links, and over Arrow arrays for the rest
"""

from relaion_pipeline.links.canonical import VERSION, Canonical, canonicalise, host_of, match_key
from relaion_pipeline.links.escapes import refang
from relaion_pipeline.links.expressions import expressions, prefix_candidates, prefix_key
from relaion_pipeline.links.forms import FORMS, describe, forms
from relaion_pipeline.links.hosts import domain_candidates, domain_key

__all__ = [
    "FORMS",
    "VERSION",
    "Canonical",
    "canonicalise",
    "describe",
    "domain_candidates",
    "domain_key",
    "expressions",
    "forms",
    "host_of",
    "match_key",
    "prefix_candidates",
    "prefix_key",
    "refang",
]
