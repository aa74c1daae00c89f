"""Two sources in one file."""

from airbyte_cdk.sources import AbstractSource


class Base(AbstractSource):
    def check_connection(self, logger, config):
        return True, None

    def streams(self, config):
        return []


class First(Base):
    pass


class Second(Base):
    pass
