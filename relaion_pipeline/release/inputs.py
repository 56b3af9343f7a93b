"""Everything that a release is made from, and the one digest that says whether any of it changed."""

from dataclasses import dataclass
from functools import cached_property

from relaion_pipeline.feeds import blocklist, compiling
from relaion_pipeline.feeds.blocklist import Blocklist
from relaion_pipeline.layout import DataRoot, make_private
from relaion_pipeline.ledger import segments
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.provenance import code_version
from relaion_pipeline.release import records, versions
from relaion_pipeline.release.records import UsedFeed, UsedInputs, UsedShard
from relaion_pipeline.screening import keywords
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import DigestCache, Shard, find, slices
from relaion_pipeline.shards.stock import StockedShard, take_stock


@dataclass(frozen=True)
class Inputs:
    """The inputs of one data root, read when asked for."""

    root: DataRoot
    settings: Settings

    @cached_property
    def digests(self) -> DigestCache:
        """SHA-256 of input files; unchanged files are not read again."""
        make_private(self.root.private)
        return DigestCache(self.root.digest_cache)

    @cached_property
    def verified_digests(self) -> DigestCache:
        """SHA-256 of files as verification found it out for itself; those that have not changed since are not read."""
        make_private(self.root.private)
        return DigestCache(self.root.verified_digests)

    @cached_property
    def keywords(self) -> Keywords:
        """The keyword file."""
        return keywords.load(self.root.path / self.settings.nsfw.keywords)

    @cached_property
    def blocklist(self) -> Blocklist:
        """The blocklist as built last; refuses to be older than its feeds were when compiled."""
        return blocklist.read(self.settings, self.root)

    @cached_property
    def ledger(self) -> Ledger:
        """What all releases have removed; refuses to be less than the newest release recorded."""
        released = versions.released(self.root)
        record = records.read(self.root, released[-1]) if released else None
        return segments.read(self.root, record.ledger_sha256 if record else None)

    def find(self, subset: str) -> list[Shard]:
        """The shards of a subset."""
        return find(subset, self.settings.subsets[subset], self.root.path)

    def slice(self, subset: str, number: int) -> list[Shard]:
        """The shards of one slice of a subset."""
        return slices(self.find(subset), self.settings.subsets[subset].slices)[number]

    def stock(self, shard: Shard) -> StockedShard:
        """Take stock of a shard; what stands in the record is not looked up again."""
        return take_stock(shard, self.settings.subsets[shard.subset], self.root, self.digests)

    @cached_property
    def shards(self) -> tuple[StockedShard, ...]:
        """Every shard of every subset."""
        return tuple(self.stock(shard) for subset in self.settings.subsets for shard in self.find(subset))

    @cached_property
    def used(self) -> UsedInputs:
        """What stands in the record of a release; files are digested, nothing is compiled or rendered."""
        feeds = {}
        for name, feed in self.settings.feeds.items():
            files = compiling.files_of(feed, self.root, self.digests)
            compiled = compiling.read_header(self.root.compiled_feed(name))
            entries = compiled.counts.usable if compiled and compiled.files == files else None
            feeds[name] = UsedFeed(partner=feed.partner, version=feed.version, files=files, entries=entries)
        shards = {
            f"{shard.subset}/{shard.stem}": UsedShard(
                source_sha256=self.digests.sha256(shard.path),
                scores_sha256=self.digests.sha256(shard.scores) if shard.scores else None,
            )
            for subset in self.settings.subsets
            for shard in self.find(subset)
        }
        return UsedInputs(
            settings=self.settings.deciding(),
            settings_sha256=self.settings.digest(),
            keywords_sha256=self.keywords.digest,
            feeds=feeds,
            shards=shards,
            code_version=code_version(),
        )

    @property
    def sha256(self) -> str:
        """Digest of all input files, settings and code: releases with the same digest hold the same files."""
        return self.used.sha256

    def compile_feed(self, name: str) -> compiling.CompiledFeed:
        """Compile one feed, unless it stands so already."""
        return compiling.compile_feed(name, self.settings, self.root, self.digests)

    def unchanged_release(self) -> str | None:
        """The newest release, if it was made from just these inputs."""
        released = versions.released(self.root)
        record = records.read(self.root, released[-1]) if released else None
        return record.version if record is not None and record.inputs_sha256 == self.sha256 else None
