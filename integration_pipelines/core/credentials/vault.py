"""The vault: credentials sealed with the AWS Encryption SDK, bound to venue, provider and field.

Each value has its own data key, wrapped by KMS (`KMS_KEY_ID`) or, outside production or where
`LOCAL_KEY_FILE` says so by name, by a key in a file of this machine. The venue, provider and field
are the encryption context: a ciphertext copied to another row does not open there.
"""

import logging
import os
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.redaction import redact, register_secret
from integration_pipelines.core.settings import AppEnv, Settings

KEY_BYTES = 32
CACHE_SECONDS = 300.0
CACHE_ENTRIES = 1000
KMS_CONNECT_SECONDS = 3
KMS_READ_SECONDS = 5
KMS_ATTEMPTS = 3
LOCAL_NAMESPACE = "venue-integrations"


class Sealed(NamedTuple):
    """A sealed value and the wrapping key that opens it: a KMS key's ARN or `local:` and a
    fingerprint."""

    ciphertext: bytes
    key_id: str


class Vault:
    """Seals and opens credentials. Thread-safe. Every failure is a VaultError: without its key
    nothing opens.

    Opened values are kept in memory, at most 1,000 for at most 5 minutes each, so that a sync of
    many venues does not ask KMS for each stream: a key that is disabled stops working for new
    processes at once and for running ones after 5 minutes. The clients hold the same values for as
    long as a sync lasts, so this keeps nothing that was not in memory already.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = _Cache()
        self._keys: _Keys | None = None
        self._lock = Lock()

    @property
    def key_id(self) -> str:
        """The wrapping key that seals now."""
        return self._current().key_id

    def seal(self, plaintext: str | bytes, *, venue_id: str, provider: str, field: str) -> Sealed:
        """Seal one credential field. Raises VaultError where the wrapping key is not available."""
        if not plaintext:
            raise VaultError(f"{provider} {field} of {venue_id} is empty: nothing was stored")
        secret = plaintext.encode() if isinstance(plaintext, str) else plaintext
        register_secret(secret.decode(errors="replace"))
        keys = self._current()
        if keys.is_stale():
            # Rotated by another process: what the old key seals now would be left behind.
            with self._lock:
                self._keys = None
            keys = self._current()
        with _failing("seal", f"{provider} {field} of {venue_id}"):
            ciphertext = keys.encrypt(secret, _context(venue_id, provider, field))
        return Sealed(ciphertext, keys.key_id)

    def check(self, *, venue_id: str, provider: str) -> None:
        """Before something is asked for that can be had only once: raises VaultError where it could
        not be sealed now."""
        self.seal("check", venue_id=venue_id, provider=provider, field="check")

    def open(self, ciphertext: bytes, *, venue_id: str, provider: str, field: str) -> str:
        """The plaintext, and from now on masked in every log line of this process.

        Raises VaultError if the ciphertext was sealed for another venue, provider or field, was
        altered, or its wrapping key is not available.
        """
        context = _context(venue_id, provider, field)
        entry = (sha256(ciphertext).digest(), venue_id, provider, field)
        opened = self._cache.get(entry)
        if opened is None:
            with _failing("open", f"{provider} {field} of {venue_id}"):
                opened = self._decrypt(bytes(ciphertext), context).decode()
            self._cache.put(entry, opened)
        register_secret(opened)
        return opened

    def rewrap(self, ciphertext: bytes, *, venue_id: str, provider: str, field: str) -> Sealed:
        """The same value under the wrapping key that seals now."""
        opened = self.open(ciphertext, venue_id=venue_id, provider=provider, field=field)
        return self.seal(opened, venue_id=venue_id, provider=provider, field=field)

    def _decrypt(self, ciphertext: bytes, context: dict[str, str]) -> bytes:
        keys = self._current()
        try:
            return keys.decrypt(ciphertext, context)
        except Exception:
            # Another process may have rotated the local key since this one read the file.
            if not keys.is_stale():
                raise
            with self._lock:
                self._keys = None
            return self._current().decrypt(ciphertext, context)

    def _current(self) -> "_Keys":
        with self._lock:
            if self._keys is None:
                self._keys = _open_keys(self._settings)
            return self._keys


def add_local_key(path: Path) -> None:
    """Put a new wrapping key before those in ``path``: it seals from now on, the older ones still
    open. Processes under way read it when they meet a value that it sealed."""
    _write_key_file(path, secrets.token_bytes(KEY_BYTES) + b"".join(_read_key_file(path)))


def forget_local_keys(path: Path, *, unless: Collection[str]) -> None:
    """Keep the newest wrapping key of ``path`` and those whose ids ``unless`` names: what any other
    sealed is lost."""
    newest, *older = _read_key_file(path)
    kept = [newest, *(key for key in older if _fingerprint(key) in unless)]
    _write_key_file(path, b"".join(kept))


class _Keys:
    """The keys at hand, and the SDK's client around them. Loads the SDK (1.5 s) when made."""

    def __init__(
        self,
        *,
        key_id: str,
        sealing: Callable[[Any], Any],
        opening: list[Callable[[Any], Any]],
        is_stale: Callable[[], bool],
    ) -> None:
        import aws_encryption_sdk  # type: ignore[import-untyped]
        from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders  # type: ignore[import-untyped]
        from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig  # type: ignore[import-untyped]
        from aws_cryptographic_material_providers.mpl.models import CreateMultiKeyringInput  # type: ignore[import-untyped]
        from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy  # type: ignore[import-untyped]

        # It logs a traceback of each refusal, which the VaultError already says.
        logging.getLogger("aws_encryption_sdk").setLevel(logging.CRITICAL)
        self.key_id = key_id
        self.is_stale = is_stale
        self._client = aws_encryption_sdk.EncryptionSDKClient(
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
            max_encrypted_data_keys=1,
        )
        # Who seals may also open, so the signature that tells them apart would only cost.
        self._algorithm = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
        providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
        self._sealing = sealing(providers)
        self._opening = providers.create_multi_keyring(
            CreateMultiKeyringInput(
                generator=None, child_keyrings=[keyring(providers) for keyring in opening]
            )
        )

    def encrypt(self, secret: bytes, context: dict[str, str]) -> bytes:
        ciphertext, _ = self._client.encrypt(
            source=secret,
            keyring=self._sealing,
            encryption_context=context,
            algorithm=self._algorithm,
        )
        return bytes(ciphertext)

    def decrypt(self, ciphertext: bytes, context: dict[str, str]) -> bytes:
        opened, header = self._client.decrypt(
            source=ciphertext, keyring=self._opening, encryption_context=context
        )
        if header.encryption_context != context:
            raise VaultError("sealed for something else")
        return bytes(opened)


def _open_keys(settings: Settings) -> _Keys:
    """The key that seals, by the settings, and all those that may open."""
    path = settings.local_key_file
    if settings.kms_key_id is None:
        if path is None:
            if settings.app_env is AppEnv.PRODUCTION:
                raise VaultError(
                    "KMS_KEY_ID is required in production, or LOCAL_KEY_FILE by name to seal "
                    "credentials with a key kept on this machine"
                )
            path = settings.local_key_path
            _make_key_file(path)
        return _local_keys(path, _read_key_file(path))
    return _kms_keys(settings, _read_key_file(path) if path else [])


def _local_keys(path: Path, keys: list[bytes]) -> _Keys:
    return _Keys(
        key_id=_fingerprint(keys[0]),
        sealing=_raw_keyring(keys[0]),
        opening=[_raw_keyring(key) for key in keys],
        is_stale=lambda: _read_key_file(path) != keys,
    )


def _kms_keys(settings: Settings, local: list[bytes]) -> _Keys:
    """Seals with KMS_KEY_ID; opens with any KMS key of the same account that our role may use (the
    ones before a rotation), and with local keys from the time before KMS."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    with _failing("use", "KMS_KEY_ID"):
        client = boto3.client(
            "kms",
            region_name=settings.aws_region or _part(settings.kms_key_id, 3),
            endpoint_url=settings.aws_endpoint_url_kms,
            config=Config(
                connect_timeout=KMS_CONNECT_SECONDS,
                read_timeout=KMS_READ_SECONDS,
                retries={"total_max_attempts": KMS_ATTEMPTS, "mode": "standard"},
            ),
        )
        arn = settings.kms_key_id or ""
        if ":key/" not in arn:
            arn = client.describe_key(KeyId=arn)["KeyMetadata"]["Arn"]

    def sealing(providers: Any) -> Any:
        from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput

        return providers.create_aws_kms_keyring(
            CreateAwsKmsKeyringInput(kms_key_id=arn, kms_client=client)
        )

    def opening(providers: Any) -> Any:
        from aws_cryptographic_material_providers.mpl.models import (
            CreateAwsKmsDiscoveryKeyringInput,
            DiscoveryFilter,
        )

        return providers.create_aws_kms_discovery_keyring(
            CreateAwsKmsDiscoveryKeyringInput(
                kms_client=client,
                discovery_filter=DiscoveryFilter(
                    account_ids=[_part(arn, 4)], partition=_part(arn, 1) or "aws"
                ),
            )
        )

    return _Keys(
        key_id=arn,
        sealing=sealing,
        opening=[opening, *(_raw_keyring(key) for key in local)],
        is_stale=lambda: False,
    )


def _raw_keyring(key: bytes) -> Callable[[Any], Any]:
    def keyring(providers: Any) -> Any:
        from aws_cryptographic_material_providers.mpl.models import (
            AesWrappingAlg,
            CreateRawAesKeyringInput,
        )

        return providers.create_raw_aes_keyring(
            CreateRawAesKeyringInput(
                key_namespace=LOCAL_NAMESPACE,
                key_name=_fingerprint(key),
                wrapping_key=key,
                wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
            )
        )

    return keyring


def _fingerprint(key: bytes) -> str:
    return "local:" + sha256(b"venue-integrations wrapping key" + key).hexdigest()[:16]


def _part(arn: str | None, index: int) -> str | None:
    """One part of `arn:partition:service:region:account:resource`; None for what is not one."""
    parts = (arn or "").split(":")
    return parts[index] if len(parts) > 5 and parts[0] == "arn" else None


def _context(venue_id: str, provider: str, field: str) -> dict[str, str]:
    return {"venue": venue_id, "provider": provider, "field": field}


class _Cache:
    """Opened values by ciphertext and context, the newest 1,000, each for 5 minutes."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[bytes, str, str, str], tuple[float, str]] = OrderedDict()
        self._lock = Lock()

    def get(self, entry: tuple[bytes, str, str, str]) -> str | None:
        with self._lock:
            expires, opened = self._entries.get(entry, (0.0, None))
            if opened is not None and time.monotonic() >= expires:
                del self._entries[entry]
                return None
            return opened

    def put(self, entry: tuple[bytes, str, str, str], opened: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._entries.pop(entry, None)
            self._entries[entry] = (now + CACHE_SECONDS, opened)
            while len(self._entries) > CACHE_ENTRIES or next(iter(self._entries.values()))[0] < now:
                self._entries.popitem(last=False)


# The local key file: one or more keys of 32 bytes, the first of which seals.


def _read_key_file(path: Path) -> list[bytes]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o007:
            raise VaultError(
                f"LOCAL_KEY_FILE {path} may be read by everyone on this machine: chmod 600 it"
            )
        content = path.read_bytes()
    except OSError as error:
        raise VaultError(
            f"LOCAL_KEY_FILE {path} cannot be read ({error.strerror}): restore it from its backup; "
            f"for a new one, head -c {KEY_BYTES} /dev/urandom into it, mode 600"
        ) from error
    if not content or len(content) % KEY_BYTES:
        raise VaultError(
            f"LOCAL_KEY_FILE {path} must hold {KEY_BYTES} random bytes (or a multiple: the first "
            f"key seals, the others open) and holds {len(content)}: restore it from its backup"
        )
    return [content[at : at + KEY_BYTES] for at in range(0, len(content), KEY_BYTES)]


def _make_key_file(path: Path) -> None:
    """Make a key, once, whoever else tries at the same time."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, secrets.token_bytes(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _write_key_file(path: Path, content: bytes) -> None:
    _draft(path, content).replace(path)


def _draft(path: Path, content: bytes) -> Path:
    """``content`` on disk beside ``path``, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


@contextmanager
def _failing(verb: str, what: str) -> Iterator[None]:
    """Turn whatever the SDK or AWS raises into a VaultError that names the cure."""
    try:
        yield
    except VaultError:
        raise
    except Exception as error:
        raise VaultError(f"cannot {verb} {what}: {_cure(error)}") from error


def _cure(error: BaseException) -> str:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # type: ignore[import-untyped]

    for cause in _causes(error):
        # The SDK keeps KMS's words and forgets its code; for a forged ciphertext there are none.
        said = ""
        if isinstance(cause, ClientError):
            said = str(cause)
        elif type(cause).__name__ == "ComAmazonawsKms":
            said = getattr(cause, "message", None) or ""
        if said:
            return (
                f"KMS answered: {redact(said)[:300]}; check that the key is enabled and that this "
                "role may use it, then try again"
            )
        if isinstance(cause, NoCredentialsError):
            return "no AWS credentials were found; give this process a role that may use KMS_KEY_ID"
        if isinstance(cause, BotoCoreError):
            return (
                f"KMS could not be asked ({type(cause).__name__}); check AWS_REGION, "
                "AWS_ENDPOINT_URL_KMS and the network, then try again"
            )
    return (
        "it was sealed for another venue, provider or field, was altered, or the key that sealed "
        "it is not here (KMS_KEY_ID, LOCAL_KEY_FILE); restore that key or connect the account again"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what the SDK wrapped in it, and what it came from."""
    pending: list[Any] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [cause.__cause__, cause.__context__, getattr(cause, "obj", None)]
        pending += getattr(cause, "list", None) or []
