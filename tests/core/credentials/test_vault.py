"""The vault, over a local key and over KMS (moto's server, over HTTP): faults 15, 16, 17, 24."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from integration_pipelines.core.credentials import Vault, add_local_key, forget_local_keys
from integration_pipelines.core.credentials import vault as vault_module
from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.settings import AppEnv, Settings

CANARY = "canary-secret-424242"
PLACE = {"venue_id": "moonlight-hall", "provider": "stripe", "field": "api_key"}
ELSEWHERE = [
    {**PLACE, "venue_id": "corner-bar"},
    {**PLACE, "provider": "square"},
    {**PLACE, "field": "access_token"},
]
REGION = "us-east-1"


@pytest.fixture
def local(tmp_path):
    """``local(**settings) -> Vault``: over a key file under tmp_path."""

    def make(**options):
        return Vault(Settings(app_env=AppEnv.TEST, data_dir=tmp_path / "data", **options))

    return make


@pytest.fixture(scope="module")
def kms_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def kms(kms_url, aws):
    return boto3.client("kms", region_name=REGION, endpoint_url=kms_url)


@pytest.fixture
def new_key(kms):
    """``new_key() -> its ARN``"""
    return lambda: kms.create_key()["KeyMetadata"]["Arn"]


def kms_vault(key_id, url, **options):
    return Vault(
        Settings(
            app_env=AppEnv.PRODUCTION,
            public_base_url="https://portal.example",
            database_url=SecretStr("postgresql://u:p@localhost/db"),
            kms_key_id=key_id,
            aws_region=REGION,
            aws_endpoint_url_kms=url,
            **options,
        )
    )


@pytest.fixture(params=["local", "kms"])
def vaults(request, local):
    """``vaults() -> Vault``: each call one with an empty cache, all with the same key."""
    if request.param == "local":
        return local
    key, url = request.getfixturevalue("new_key")(), request.getfixturevalue("kms_url")
    return lambda: kms_vault(key, url)


def test_what_was_sealed_opens(vaults):
    for secret in (CANARY, "ünïcode ✓", "x" * 10_000):
        sealed = vaults().seal(secret, **PLACE)
        assert secret.encode() not in sealed.ciphertext
        assert vaults().open(sealed.ciphertext, **PLACE) == secret
    assert vaults().key_id == sealed.key_id


def test_same_secret_is_sealed_differently_each_time(vaults):
    vault = vaults()
    assert vault.seal(CANARY, **PLACE).ciphertext != vault.seal(CANARY, **PLACE).ciphertext


@pytest.mark.parametrize("place", ELSEWHERE, ids=["venue", "provider", "field"])
def test_16_ciphertext_moved_to_another_row_does_not_open(vaults, place):
    vault = vaults()
    sealed = vault.seal(CANARY, **PLACE)
    assert vault.open(sealed.ciphertext, **PLACE) == CANARY
    for reader in (vault, vaults()):
        with pytest.raises(VaultError, match="another venue, provider or field") as caught:
            reader.open(sealed.ciphertext, **place)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_16_no_bit_can_be_flipped(local):
    vault = local()
    ciphertext = vault.seal(CANARY, **PLACE).ciphertext
    for position in range(len(ciphertext)):
        flipped = bytearray(ciphertext)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(VaultError):
            vault.open(bytes(flipped), **PLACE)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_16_no_byte_can_be_missing(vaults, cut):
    vault = vaults()
    ciphertext = vault.seal(CANARY, **PLACE).ciphertext
    with pytest.raises(VaultError):
        vault.open(ciphertext[:cut], **PLACE)


def test_nothing_is_never_sealed(local):
    with pytest.raises(VaultError, match="nothing was stored"):
        local().seal("", **PLACE)


def test_refusals_leave_no_secret_and_no_traceback_in_the_log(vaults, caplog, capfd):
    vault = vaults()
    sealed = vault.seal(CANARY, **PLACE)
    with caplog.at_level(logging.DEBUG), pytest.raises(VaultError) as caught:
        vault.open(sealed.ciphertext, **ELSEWHERE[0])
    out = capfd.readouterr()
    said = "".join(traceback.format_exception(caught.value)) + caplog.text + out.out + out.err
    assert "canary" not in said
    assert "Error on closing" not in said


def test_opened_secret_is_masked_from_then_on(local):
    secret = "qwertyuiop-not-shaped-like-a-secret"
    sealed = local().seal(secret, **PLACE)
    local().open(sealed.ciphertext, **PLACE)
    assert redact(f"a line with {secret} in it") == "a line with [redacted] in it"


def test_15_opened_values_are_kept_for_a_bounded_time_and_number(vaults, monkeypatch):
    monkeypatch.setattr(vault_module, "CACHE_SECONDS", 0.2)
    monkeypatch.setattr(vault_module, "CACHE_ENTRIES", 3)
    vault = vaults()
    sealed = [vault.seal(f"secret-{n}", **PLACE).ciphertext for n in range(5)]
    for ciphertext in sealed:
        vault.open(ciphertext, **PLACE)
    assert len(vault._cache._entries) == 3
    time.sleep(0.25)
    vault.open(sealed[0], **PLACE)
    assert len(vault._cache._entries) == 1


def test_threads_share_a_vault(vaults):
    vault = vaults()

    def there_and_back(number):
        sealed = vault.seal(f"secret-{number}", **PLACE)
        return vaults().open(sealed.ciphertext, **PLACE) == f"secret-{number}"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(40)))


class TestLocalKey:
    def test_is_made_once_readable_by_its_owner_alone(self, local, tmp_path):
        with ThreadPoolExecutor(8) as pool:
            sealed = list(pool.map(lambda _: local().seal(CANARY, **PLACE), range(8)))
        assert len({value.key_id for value in sealed}) == 1
        path = tmp_path / "data" / "vault.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [item.name for item in path.parent.iterdir()] == ["vault.key"]
        assert all(local().open(value.ciphertext, **PLACE) == CANARY for value in sealed)

    def test_of_another_machine_opens_nothing(self, local, tmp_path):
        sealed = local().seal(CANARY, **PLACE)
        (tmp_path / "data" / "vault.key").unlink()
        with pytest.raises(VaultError, match="restore that key"):
            local().open(sealed.ciphertext, **PLACE)

    def test_is_refused_in_production_unless_named(self, tmp_path):
        production = Settings.model_construct(
            app_env=AppEnv.PRODUCTION, data_dir=tmp_path, kms_key_id=None, local_key_file=None
        )
        with pytest.raises(VaultError, match="KMS_KEY_ID is required in production"):
            Vault(production).seal(CANARY, **PLACE)
        assert not list(tmp_path.iterdir())

    def test_named_in_production_must_exist_and_be_private(self, tmp_path):
        path = tmp_path / "wrapping.key"

        def vault():
            return Vault(
                Settings(
                    app_env=AppEnv.PRODUCTION,
                    public_base_url="https://portal.example",
                    database_url=SecretStr("postgresql://u:p@localhost/db"),
                    local_key_file=path,
                )
            )

        with pytest.raises(VaultError, match=r"LOCAL_KEY_FILE .* cannot be read"):
            vault().seal(CANARY, **PLACE)
        path.write_bytes(os.urandom(31))
        path.chmod(0o600)
        with pytest.raises(VaultError, match="must hold 32 random bytes"):
            vault().seal(CANARY, **PLACE)
        path.write_bytes(os.urandom(32))
        path.chmod(0o644)
        with pytest.raises(VaultError, match="chmod 600"):
            vault().seal(CANARY, **PLACE)
        path.chmod(0o600)
        assert vault().open(vault().seal(CANARY, **PLACE).ciphertext, **PLACE) == CANARY

    def test_rotates_while_others_run(self, local, tmp_path):
        path = tmp_path / "data" / "vault.key"
        running, rotating = local(), local()
        old = running.seal(CANARY, **PLACE)
        add_local_key(path)
        rotating = local()
        new = rotating.rewrap(old.ciphertext, **PLACE)
        assert new.key_id != old.key_id
        assert running.open(new.ciphertext, **PLACE) == CANARY
        assert rotating.open(old.ciphertext, **PLACE) == CANARY
        forget_local_keys(path, unless=())
        assert local().open(new.ciphertext, **PLACE) == CANARY
        with pytest.raises(VaultError):
            local().open(old.ciphertext, **PLACE)


class TestKms:
    def test_key_may_be_named_by_arn_id_or_alias(self, kms, kms_url):
        metadata = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/venues", TargetKeyId=metadata["KeyId"])
        for name in (metadata["Arn"], metadata["KeyId"], "alias/venues"):
            sealed = kms_vault(name, kms_url).seal(CANARY, **PLACE)
            assert sealed.key_id == metadata["Arn"]
            assert kms_vault(metadata["Arn"], kms_url).open(sealed.ciphertext, **PLACE) == CANARY

    def test_what_an_older_key_sealed_still_opens_and_is_rewrapped(self, new_key, kms_url):
        old_key, key = new_key(), new_key()
        old = kms_vault(old_key, kms_url).seal(CANARY, **PLACE)
        vault = kms_vault(key, kms_url)
        assert vault.open(old.ciphertext, **PLACE) == CANARY
        new = vault.rewrap(old.ciphertext, **PLACE)
        assert (old.key_id, new.key_id) == (old_key, key)
        assert kms_vault(key, kms_url).open(new.ciphertext, **PLACE) == CANARY

    def test_what_a_local_key_sealed_opens_after_the_move_to_kms(
        self, local, new_key, kms_url, tmp_path
    ):
        sealed = local().seal(CANARY, **PLACE)
        vault = kms_vault(new_key(), kms_url, local_key_file=tmp_path / "data" / "vault.key")
        assert vault.open(sealed.ciphertext, **PLACE) == CANARY
        assert vault.rewrap(sealed.ciphertext, **PLACE).key_id.startswith("arn:aws:kms:")

    def test_key_of_another_account_is_not_asked(self, new_key, kms_url):
        sealed = kms_vault(new_key(), kms_url).seal(CANARY, **PLACE)
        ours = new_key().replace("123456789012", "210987654321")
        with pytest.raises(VaultError, match="the key that sealed it is not here"):
            kms_vault(ours, kms_url).open(sealed.ciphertext, **PLACE)

    def test_15_unreachable_fails_closed_and_soon(self, new_key, kms_url):
        key = new_key()
        running = kms_vault(key, kms_url)
        sealed = running.seal(CANARY, **PLACE)
        assert running.open(sealed.ciphertext, **PLACE) == CANARY
        down = kms_vault(key, "http://127.0.0.1:1")
        begun = time.monotonic()
        for attempt in (
            lambda: down.open(sealed.ciphertext, **PLACE),
            lambda: down.seal(CANARY, **PLACE),
        ):
            with pytest.raises(VaultError, match="KMS could not be asked") as caught:
                attempt()
            assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert time.monotonic() - begun < 20

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("DisabledException", "arn:aws:kms:us-east-1:1:key/1 is disabled."),
            ("AccessDeniedException", "User x is not authorized to perform kms:Decrypt"),
            ("ThrottlingException", "Rate exceeded"),
            ("KMSInternalException", "internal failure"),
        ],
    )
    def test_15_refusing_fails_closed_and_says_why(self, new_key, kms_url, code, message):
        key = new_key()
        sealed = kms_vault(key, kms_url).seal(CANARY, **PLACE)
        with refusing(code, message) as url:
            for attempt in (
                lambda: kms_vault(key, url).open(sealed.ciphertext, **PLACE),
                lambda: kms_vault(key, url).seal(CANARY, **PLACE),
                lambda: kms_vault("alias/venues", url).seal(CANARY, **PLACE),
            ):
                with pytest.raises(VaultError, match=f"KMS answered: .*{message}"):
                    attempt()

    def test_without_aws_credentials_says_so(self, tmp_path):
        """In a process of its own: boto3 looks for credentials in many places."""
        program = (
            "from integration_pipelines.core.credentials import Vault\n"
            "from integration_pipelines.core.settings import load_settings\n"
            "Vault(load_settings()).seal('x', venue_id='v', provider='p', field='f')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "AWS_EC2_METADATA_DISABLED": "true",
                "KMS_KEY_ID": f"arn:aws:kms:{REGION}:123456789012:key/1",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "VaultError" in done.stderr
        assert "no AWS credentials were found" in done.stderr


@contextmanager
def refusing(code, message):
    """A KMS that refuses everything with ``code``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"__type": code, "message": message}).encode()
            self.send_response(500 if code == "KMSInternalException" else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
