"""Proving edition files right: read again as they will be published, against the original shards and lists.

Nothing that screening concluded is believed. The verdicts enter as a claim only: the rows they do not name must be
in the files, value for value, and nothing else may be; and the keys that they give the others, by which the ledger
will know them, must be those of the source's rows. An index enters as a claim too: it must hold every spelling of
every kept row, and every link. Once that is proved, new lists can be held against the index in place of the files, and
files that have lost some rows need no second proof of those that are left: `standing` says what still holds, and why.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from relaion_pipeline import database
from relaion_pipeline.feeds.blocklist import Lists
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import memory
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.provenance import VERIFYING, code_version, key_of
from relaion_pipeline.screening import index
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import ShardError, sha256_file
from relaion_pipeline.shards.stock import StockedShard, asked_together
from relaion_pipeline.verification import claims, contents, indexes, removed, rows, standing
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.listed import Listed
from relaion_pipeline.verification.removed import Removed
from relaion_pipeline.verification.rows import Judged
from relaion_pipeline.verification.standing import Ground, Left, Standing

Key = TypeVar("Key")


class VerificationError(Exception):
    """Files cannot be verified; the message names them and what to do."""


@dataclass(frozen=True)
class Published:
    """The two files of one shard, as staged or as released: rows of research-safe, and those that only research has."""

    shard: StockedShard
    safe: Path
    extra: Path


@dataclass(frozen=True)
class Digests:
    """SHA-256 of the files of one shard, as they are now."""

    source: str
    safe: str
    extra: str
    index: str | None  # None where there is no index

    @property
    def held(self) -> tuple[str, str, str]:
        """Of the files that are held against each other."""
        return self.source, self.safe, self.extra


_Digests = dict[Published, Digests]


@dataclass(frozen=True)
class Verifier:
    """Everything that files are held against."""

    root: DataRoot
    settings: Settings
    listed: Listed
    keywords: Keywords
    ledger: Ledger
    sha256: Callable[[Path], str] = sha256_file  # of sources, and what is not asked of indexes; the rest is always read

    def verify(
        self,
        published: Sequence[Published],
        progress: Callable[[int], None] = lambda _: None,
        known: Callable[[StockedShard], Evidence | None] = lambda _: None,
    ) -> list[Evidence]:
        """Find out about every shard what `Evidence` says; judging is the gate's.

        `known` may offer the evidence of an earlier proof: where it stands, only what it leaves open is proved.
        `progress` is told the source rows of each shard that is done.

        Raises:
            VerificationError: a file cannot be read.
        """
        digests = self._digests(published, known)
        found: dict[Published, Evidence] = {}
        with database.connect(self.root, self.settings.limits) as connection:
            with database.asking("reading the ledger"):
                memory.create(connection, self.ledger, self.settings, (files.shard for files in published))
            for proved in self._proofs(connection, digests, known):
                found |= proved
                for files in proved:
                    progress(files.shard.rows)
        return [found[files] for files in published]

    def keep(self, published: Sequence[Published], progress: Callable[[int], None] = lambda _: None) -> list[Evidence]:
        """Verify staged files, and keep the evidence where the gate finds it; what stands is not found out again."""
        earlier = {
            files.shard: evidence_files.read(self.root, files.shard.subset, files.shard.stem) for files in published
        }
        found = self.verify(published, progress, known=earlier.get)
        for files, each in zip(published, found, strict=True):
            before = earlier[files.shard]
            if before is None or before.removed_sha256 != each.removed_sha256:
                # First: what was removed is told by its digest in the evidence, so that a crash in between is noticed.
                removed.write(self._removed(files.shard), self.root, each.subset, each.stem)
            evidence_files.write(each, self.root)
        return found

    def key(self, shard: StockedShard, source: str, safe: str, extra: str) -> str:
        """Digest of what is verified (by SHA-256), and against which lists.

        The ledger is not in it, since each release adds to it what the release removes. It is asked every time.
        """
        return key_of(self._basis(shard, source), safe, extra, self.listed.digests)

    def _basis(self, shard: StockedShard, source: str) -> str:
        return key_of(
            source,
            shard.scores_sha256,
            shard.columns.model_dump(),
            self.keywords.digest,
            self.settings.nsfw.model_dump(mode="json"),
            [waiver.model_dump(mode="json") for waiver in self.settings.returning()],
            code_version(VERIFYING),
        )

    def _questions(self, shard: StockedShard, lists: Listed) -> frozenset[index.Question]:
        answered = frozenset(kind for kind, part in rows.IMAGES.items() if getattr(shard.columns, part))
        return index.questions(Lists(lists.kinds, lists.forms, lists.salt), answered)

    def _removed(self, shard: StockedShard) -> Removed:
        try:
            return removed.by_verdicts(self.root, shard.subset, shard.stem)
        except (OSError, pa.ArrowException):
            raise VerificationError(
                f"{shard.name}: its verdicts cannot be read; run `relaion release`, or materialise `ledger`"
            ) from None

    def _digests(self, published: Sequence[Published], known: Callable[[StockedShard], Evidence | None]) -> _Digests:
        def of(files: Published) -> Digests:
            earlier = known(files.shard)
            asked = self.listed if earlier is None else self.listed.only(standing.changed(earlier, self.listed.digests))
            return Digests(
                source=self.sha256(files.shard.source),
                safe=sha256_file(files.safe),
                extra=sha256_file(files.extra),
                index=indexes.sha256(self.root, files.shard, asked.kinds, self.sha256),
            )

        with ThreadPoolExecutor(database.threads(self.settings.limits)) as pool:
            try:
                return dict(zip(published, pool.map(of, published), strict=True))
            except ShardError as error:
                raise VerificationError(str(error)) from None

    def _proofs(
        self,
        connection: duckdb.DuckDBPyConnection,
        digests: _Digests,
        known: Callable[[StockedShard], Evidence | None],
    ) -> Iterator[dict[Published, Evidence]]:
        """Evidence on all shards, a few at a time: first what earlier proofs tell, then what they leave open."""
        done: set[Published] = set()
        for proved in self._on_earlier_proofs(connection, digests, known):
            done |= proved.keys()
            yield proved
        left = [files for files in digests if files not in done]
        if left:
            with database.asking("reading the lists for verification"):
                self.listed.open(connection)
        for together in _together(left):
            with database.asking(f"verifying {len(together)} shards of {together[0].shard.subset}"):
                yield self._prove_whole(connection, together, digests)

    # On earlier proofs

    def _on_earlier_proofs(
        self,
        connection: duckdb.DuckDBPyConnection,
        digests: _Digests,
        known: Callable[[StockedShard], Evidence | None],
    ) -> Iterator[dict[Published, Evidence]]:
        left = self._left(connection, self._standing(digests, known))
        closed = [files for files, each in left.items() if each.nothing]
        now = self.listed.digests
        yield {
            files: replace(left[files].evidence, key=self.key(files.shard, *digests[files].held), lists=now)
            for files in closed
        }
        opened = _grouped((each.feeds, files) for files, each in left.items() if not each.nothing)
        for feeds, of_feeds in opened.items():
            lists = self.listed.only(feeds)
            with database.asking("reading changed lists for verification"):
                lists.open(connection)
            for together in _together(of_feeds):
                with database.asking(f"verifying {len(together)} rewritten shards of {together[0].shard.subset}"):
                    yield self._prove_left(connection, {files: left[files] for files in together}, lists, digests)

    def _standing(
        self, digests: _Digests, known: Callable[[StockedShard], Evidence | None]
    ) -> dict[Published, Standing]:
        found = {}
        for files, of_files in digests.items():
            shard, earlier = files.shard, known(files.shard)
            if earlier is not None:
                asked = frozenset(_written(self._questions(shard, self.listed)))
                ground = Ground(
                    self._basis(shard, of_files.source),
                    of_files.safe,
                    of_files.extra,
                    of_files.index,
                    asked,
                    self._removed(shard),
                )
                stands = standing.find(earlier, ground, self.root)
                if stands is not None:
                    found[files] = stands
        return found

    def _left(
        self, connection: duckdb.DuckDBPyConnection, stands: Mapping[Published, Standing]
    ) -> dict[Published, Left]:
        """Ask proved indexes about changed lists and removed links, a question for all shards with the same change.

        Where a removed link may be back, the earlier proof does not stand.
        """
        now = self.listed.digests
        left = {}
        with database.asking("asking proved indexes about changed lists"):
            for changed, all_files in _grouped(
                (standing.changed(each.evidence, now), files) for files, each in stands.items()
            ).items():
                shards = [files.shard for files in all_files]
                lists = self.listed.only(changed)
                lists.open(connection)
                hits = indexes.hits(connection, self.root, shards, lists)
                returned = indexes.with_returned_links(connection, self.root, shards)
                for place, files in enumerate(all_files):
                    if place not in returned:
                        left[files] = stands[files].left(now, hits.get(place, {}))
        return left

    def _prove_left(
        self, connection: duckdb.DuckDBPyConnection, left: Mapping[Published, Left], lists: Listed, digests: _Digests
    ) -> dict[Published, Evidence]:
        """Prove what earlier proofs of some shards leave open about the same `lists`, which are open.

        A shard whose files are not what its verdicts leave of the source is not among what is returned, nor one whose
        source is not what it was, since its Parquet rendering may have been altered: what is kept now is then not
        part of what was proved.
        """
        shards = [files.shard for files in left]
        indexes.hits(connection, self.root, shards, lists)
        lists = lists.naming(connection, "known_entries")
        read = self._read(connection, list(left), lists, whole=False)
        found = {}
        for (files, each), of_rows in zip(left.items(), read, strict=True):
            then = each.evidence
            of_rows.hits = then.hits
            evidence = self._evidence(connection, files, digests[files], of_rows)
            wrong = evidence.altered_files or evidence.changed_schemas or evidence.unaccounted_rows
            if evidence.source_content == then.source_content and not wrong:
                found[files] = replace(evidence, questions=then.questions)
        return found

    # The whole proof

    def _prove_whole(
        self, connection: duckdb.DuckDBPyConnection, published: Sequence[Published], digests: _Digests
    ) -> dict[Published, Evidence]:
        shards = [files.shard for files in published]
        read = self._read(connection, published, self.listed, whole=True)
        indexed = all(indexes.exists(self.root, shard) for shard in shards)
        if indexed:
            hits = indexes.hits(connection, self.root, shards, self.listed)
            for place, of_rows in enumerate(read):
                of_rows.hits = hits.get(place, {})
        else:  # Of those that are there, nothing was proved.
            digests = {files: replace(each, index=None) for files, each in digests.items()}
        return {
            files: self._evidence(connection, files, digests[files], of_rows)
            for files, of_rows in zip(published, read, strict=True)
        }

    # What both are made of

    def _read(
        self, connection: duckdb.DuckDBPyConnection, published: Sequence[Published], lists: Listed, *, whole: bool
    ) -> list["_Read"]:
        """Look among published rows for those that entries of `lists`, which are open, name, or that must be gone.

        If `whole`, hold all rows against rules, the ledger and the index too.
        """
        shards, columns = [files.shard for files in published], published[0].shard.columns
        indexed = all(indexes.exists(self.root, shard) for shard in shards)
        rows.create_published(connection, [path for files in published for path in (files.safe, files.extra)], columns)
        read = [_Read() for _ in shards]
        asked = self._questions(shards[0], lists)
        rows.create_suspects(connection)
        for _ in index.runs(connection, max(shard.rows for shard in shards)):
            index.spell(
                connection, "run", asked, lists.salt, with_links=whole, among=None if whole else "known_entries"
            )
            rows.add_suspects(connection, by_host=any(question.kind in index.HOST_KINDS for question in asked))
            if whole:
                _add_links(connection, read)
            if whole and indexed:
                for place, missing in indexes.missing_spellings(connection, self.root, shards):
                    read[place].missing += missing
        survivors = rows.survivors(connection, lists, columns)
        judged = rows.judge(connection, self.settings, self.keywords) if whole else [Judged()] * len(survivors)
        returned = claims.returned_rows(connection, self.root, shards, self.listed.salt)
        false = claims.false(connection, self.root, shards, self.listed.salt)
        left = indexes.links_left(connection, self.root, shards) if whole and indexed else None
        for place, each in enumerate(read):
            each.survivors = survivors[2 * place : 2 * place + 2]
            each.judged = judged[2 * place : 2 * place + 2]
            each.back += returned.get(place, 0)
            each.false = false.get(place, 0)
            if left is not None and left.get(place, (0, 0)) != (each.links, each.sum_of_links):
                each.missing += 1
        return read

    def _evidence(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Published,
        digests: Digests,
        read: "_Read",
    ) -> Evidence:
        shard = files.shard
        gone = self._removed(shard)
        try:
            schemas = [contents.schema(path) for path in (shard.parquet, files.safe, files.extra)]
        except ShardError as error:
            raise VerificationError(str(error)) from None
        expected = contents.divided(connection, shard.parquet, gone)
        kept = [contents.of_file(connection, path) for path in (files.safe, files.extra)]
        source = sum(expected, contents.NOTHING)
        safe, extra = read.judged
        lists = self.listed.digests
        return Evidence(
            subset=shard.subset,
            stem=shard.stem,
            key=self.key(shard, *digests.held),
            basis=self._basis(shard, digests.source),
            lists=lists,
            hits={name: read.hits.get(name, indexes.NO_HITS) for name in lists},
            questions=sorted(_written(self._questions(shard, self.listed))),
            index_sha256=digests.index,
            source_sha256=digests.source,
            safe_sha256=digests.safe,
            extra_sha256=digests.extra,
            source_content=str(source),
            removed_sha256=gone.sha256,
            source_rows=source.rows,
            safe_rows=kept[0].rows,
            extra_rows=kept[1].rows,
            removed_rows=expected[2].rows,
            unaccounted_rows=abs(source.rows - kept[0].rows - kept[1].rows - expected[2].rows) + read.false,
            altered_files=sum(kept[part] != expected[part] for part in (0, 1)),
            changed_schemas=sum(schema != schemas[0] for schema in schemas[1:]),
            listed_in_research=sum(read.survivors),
            listed_in_research_safe=read.survivors[0],
            unsafe_in_research=safe.with_keyword + extra.with_keyword,
            unsafe_in_research_safe=safe.unsafe,
            unscored_in_research_safe=safe.unscored,
            without_link=safe.without_link + extra.without_link,
            removed_before_in_research=read.back,
            missing_from_index=read.missing,
        )


@dataclass
class _Read:
    """What was found out about the published rows of one shard."""

    links: int = 0  # rows with a link
    sum_of_links: int = 0  # of hashes of their keys
    back: int = 0  # rows that the ledger says were removed
    missing: int = 0  # from the index
    false: int = 0  # verdicts that tell of another row than the source has
    survivors: list[int] = field(default_factory=list)  # of the safe and the extra file
    judged: list[Judged] = field(default_factory=list)  # likewise
    hits: dict[str, str] = field(default_factory=dict)


def _add_links(connection: duckdb.DuckDBPyConnection, read: list[_Read]) -> None:
    """Count the links of a run of rows, and those of them that must be gone."""
    counted = connection.execute(
        """
        SELECT file // 2 AS place, count(*), sum(hash(link_key)::hugeint),
            count(*) FILTER (link_key IN (SELECT link_key FROM remembered))
        FROM link_keys GROUP BY place
        """
    ).fetchall()
    for place, links, total, back in counted:
        read[place].links += links
        read[place].sum_of_links += int(total)
        read[place].back += back


def _written(questions: Iterable[index.Question]) -> list[str]:
    return [f"{question.kind}:{question.form}" for question in questions]


def _together(published: Sequence[Published]) -> Iterator[list[Published]]:
    return asked_together(published, lambda files: files.shard, most=index.RUN_ROWS)


def _grouped(pairs: Iterable[tuple[Key, Published]]) -> dict[Key, list[Published]]:
    groups = defaultdict(list)
    for key, files in pairs:
        groups[key].append(files)
    return groups
