"""A source as the CDK's own documentation has it: a package with spec.json, schemas/ and the CDK's signatures."""

from airbyte_cdk.config_observation import emit_configuration_as_airbyte_control_message
from airbyte_cdk.sources import AbstractSource
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets

from .streams import Broken, Customers, Denied, Flaky, Orders, Pages, Slow


class Shared(AbstractSource):
    """A base in the same file: not the source that is meant."""


class SourceShop(Shared):
    def check_connection(self, logger, config):
        token = config["credentials"]["token"]
        if token == "rotate-me":
            access = {"kind": "token", "token": "rotated"}
            emit_configuration_as_airbyte_control_message({**config, "credentials": access})
        if token == "crash-please":
            raise RuntimeError(f"no such thing: {token}")
        if token == "learn-a-secret":
            add_to_secrets("session-4711")
            return False, "the session session-4711 is refused"
        print("a print that is no message")
        logger.info("checked with %s", token)
        return token != "wrong-token", f"the token {token} is refused"

    def streams(self, config):
        url, pages = config["url"], config.get("pages", 3)
        return [Orders(url), Customers(), Broken(config), Denied(), Flaky(), Pages(pages), Slow()]
