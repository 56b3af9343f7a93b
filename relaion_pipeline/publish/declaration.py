"""What the settings say of a place to publish to."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relaion_pipeline.publish.errors import is_credential

HUB = "hf://datasets/"
EDITION_PLACE = "{edition}"

_HUB_REPOSITORY = re.compile(r"[\w.-]+/[\w.{}-]+")
_FROM_ENVIRONMENT = (
    "credentials are taken from the environment only (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN, ...), never from relaion.toml: remove it, and withdraw what stood there"
)


class Destination(BaseModel):
    """Where releases are published to; the name after `publish.` is yours. Without any, nothing is ever sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str = Field(
        min_length=1,
        description="a folder, any fsspec URL (s3://bucket/folder, gs://...), or hf://datasets/owner/name-{edition}",
    )
    editions: list[Literal["research", "research-safe"]] = Field(
        ["research", "research-safe"], min_length=1, description="which editions go there"
    )
    proof: Literal["full", "gate"] = Field(
        "full",
        description="what is proved before: 'full' is `relaion verify`; 'gate' believes the gate's record",
    )
    gated: Literal["manual", "auto"] = Field(
        "manual", description="Hugging Face: who asks for access is let in by hand, or automatically"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="fsspec's options of the file system, an endpoint say; no credentials"
    )

    @model_validator(mode="before")
    @classmethod
    def _no_credentials(cls, content: Any) -> Any:
        for name in _keys(content):
            if is_credential(name):
                raise ValueError(f"`{name}` looks like a credential; {_FROM_ENVIRONMENT}")
        # The password before the host, as in ftp://user:password@host; told without the value.
        if isinstance(content, Mapping) and re.search(r"://[^/]*@", str(content.get("to", ""))):
            raise ValueError(f"`to` holds a user name or password; {_FROM_ENVIRONMENT}")
        return content

    @model_validator(mode="after")
    def _hub_repositories(self) -> Self:
        if self.on_hub:
            if not _HUB_REPOSITORY.fullmatch(self.to.removeprefix(HUB)):
                raise ValueError(f"`to` is not of the form {HUB}owner/name-{EDITION_PLACE}")
            if len(self.editions) > 1 and EDITION_PLACE not in self.to:
                raise ValueError(f"`to` needs {EDITION_PLACE} in its name: each edition gets a repository of its own")
        elif EDITION_PLACE in self.to:
            raise ValueError(f"{EDITION_PLACE} goes with {HUB} only; elsewhere editions are folders")
        return self

    @property
    def on_hub(self) -> bool:
        return self.to.startswith(HUB)

    @property
    def on_disk(self) -> bool:
        return "://" not in self.to or self.to.startswith("file://")

    def repository(self, edition: str) -> str:
        """The Hugging Face repository of an edition."""
        return self.to.removeprefix(HUB).replace(EDITION_PLACE, edition)


def _keys(content: Any) -> Iterator[str]:
    """Every key of a nested table."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield str(key)
            yield from _keys(value)
    elif isinstance(content, list):
        for value in content:
            yield from _keys(value)
