"""What the sections of `params.yaml` are made of: every name known, every value checked, none changed afterwards."""

from typing import Annotated

import pydantic
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Share = Annotated[float, Field(ge=0, le=1)]


class Group(pydantic.BaseModel):
    """Parameters that belong together inside a section."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Section(BaseSettings):
    """A stage's section. Its values come from `params.yaml` and from flags, never from environment variables."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(cls, settings_cls, init_settings, **_):
        return (init_settings,)
