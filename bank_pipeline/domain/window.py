"""Date windows, inclusive at both ends. Pure."""

from datetime import date

from pydantic import BaseModel, ConfigDict, model_validator


class DateWindow(BaseModel):
    """The dates asked for or covered: both ends belong to it."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date

    @model_validator(mode="after")
    def _ordered(self) -> "DateWindow":
        if self.first > self.last:
            raise ValueError(f"a window cannot end ({self.last}) before it begins ({self.first})")
        return self

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def days(self) -> int:
        """Count the days, both ends included."""
        return (self.last - self.first).days + 1
