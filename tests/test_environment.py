"""What stands beside the code and must agree with it: `.env.example`, lock files, the Makefile."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_env_example_names_every_setting_and_no_other() -> None:
    assert set(example()) == {name.upper() for name in Settings.model_fields}


def test_env_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    defaults = load_settings()
    assert Settings(_env_file=ROOT / ".env.example") == defaults


def test_an_unknown_setting_of_a_provider_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRIPE_SECRET", "sk_test_canary")
    with pytest.raises(ConfigurationError, match="unknown setting STRIPE_SECRET:") as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_production_is_not_served_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    live = {"APP_ENV": "production", "DATABASE_URL": "postgresql://o:x@db/v", "KMS_KEY_ID": "k"}
    for name, value in live.items():
        monkeypatch.setenv(name, value)
    for base in ("", "http://portal.example"):
        monkeypatch.setenv("PUBLIC_BASE_URL", base)
        with pytest.raises(ConfigurationError, match="PUBLIC_BASE_URL must be the https:// addr"):
            load_settings()
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://portal.example")
    assert load_settings().public_base_url == "https://portal.example"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-bootstrap.lock"])
def test_lock_pins_hashes_and_names_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)


def test_setup_says_which_python_is_needed_when_there_is_none(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "requirements-bootstrap.lock", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    make = subprocess.run(
        [shutil.which("make") or "make", "setup"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert make.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in make.stderr
