"""Settings in groups: their defaults, and what fills them."""

from jarvis_proxy.config.fields import SettingsSection, list_settings, parse_fields
from jarvis_proxy.config.parsers import EnvReader
from jarvis_proxy.config.tables import UPSTREAM_SETTINGS, ServerLimits, Timeouts
from jarvis_proxy.config.upstreams import settings_of


def test_limits_are_filled_from_their_settings_alone() -> None:
    limits = ServerLimits(
        **parse_fields(ServerLimits, EnvReader({"MAX_STREAMS": "3", "MAX_INFLIGHT_MB": "2"}))
    )

    assert limits == ServerLimits(max_streams=3, max_bytes_in_flight=2 * 1024 * 1024)


def test_timeouts_are_seconds() -> None:
    timeouts = Timeouts(**parse_fields(Timeouts, EnvReader({"CONNECT_TIMEOUT": "2.5"})))

    assert timeouts == Timeouts(connect_timeout=2.5)
    assert {setting.unit for setting in list_settings(Timeouts)} == {"s"}
    assert {setting.section for setting in list_settings(Timeouts)} == {SettingsSection.TIMEOUTS}


def test_every_setting_of_an_upstream_is_described() -> None:
    described_names = {setting.name for setting in UPSTREAM_SETTINGS}

    assert {name.replace("ANY_", "<NAME>_") for name in settings_of(["any"])} <= described_names
