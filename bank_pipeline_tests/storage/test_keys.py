"""Where keys come from: one source, read safely, followed when it changes."""

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bank_pipeline.config import Settings
from bank_pipeline.errors import SecretError, SetupError
from bank_pipeline.storage import keys
from bank_pipeline.storage.credentials import Vault, load_vault
from bank_pipeline.storage.keys import CommandKeys, FileKeys, key_id_of, parse_keys

OLD, NEW, THIRD = bytes(range(32)), bytes(32), bytes([7] * 32)


def text_of(*given: bytes) -> str:
    """Return keys as a file has them."""
    return "".join(base64.b64encode(one).decode() + "\n" for one in given)


def settings(folder: Path, **more: object) -> Settings:
    return Settings(_env_file=None, state_dir=folder, **more)  # type: ignore[arg-type]


def file_of(folder: Path, *given: bytes) -> FileKeys:
    """Make a key file that somebody else keeps."""
    path = folder / "keys"
    path.write_text(text_of(*given))
    path.chmod(0o600)
    return FileKeys(path, is_ours=False)


def test_a_file_that_was_named_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, NEW, OLD).path

    vault = load_vault(settings(tmp_path / "state", encryption_key_file=path))

    assert vault.key_id == key_id_of(NEW)
    assert vault.key_ids == {key_id_of(NEW), key_id_of(OLD)}
    assert not (tmp_path / "state").exists()


def test_a_file_that_was_named_is_never_made(tmp_path: Path) -> None:
    """That it is missing is a mistake, such as a mount that failed: a new key would hide it."""
    with pytest.raises(SetupError, match="cannot be read"):
        load_vault(settings(tmp_path, encryption_key_file=tmp_path / "missing"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mode", "is_read"), [(0o400, True), (0o440, True), (0o444, False)])
def test_a_mounted_file_may_be_a_groups_and_not_the_worlds(
    tmp_path: Path, mode: int, is_read: bool
) -> None:
    source = file_of(tmp_path, OLD)
    source.path.chmod(mode)

    if is_read:
        assert source.read() == (OLD,)
    else:
        with pytest.raises(SetupError, match="Others may read"):
            source.read()


def test_what_a_command_prints_are_the_keys(tmp_path: Path) -> None:
    """It is run without a shell: what a shell would read as its own is an argument."""
    script = tmp_path / "keys from; echo"
    script.write_text(f"#!/bin/sh\nprintf '%s' '{text_of(NEW, OLD)}'\n")
    script.chmod(0o700)

    vault = load_vault(settings(tmp_path, encryption_key_command=f"'{script}' $(id)"))

    assert vault.key_ids == {key_id_of(NEW), key_id_of(OLD)}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo canary >&2; echo canary; exit 3", "exit code 3"),
        ("echo canary >&2; echo 'canary!'", "not base64"),
        ("true", "empty"),
        ("while :; do echo canarycanary; done", "more than keys"),
        ("sleep 30 & echo canary; wait", "did not end"),
    ],
)
def test_a_command_that_fails_is_explained_without_its_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    script: str,
    message: str,
) -> None:
    """Neither in the message nor on our own standard error: they may quote the key."""
    if message == "did not end":
        monkeypatch.setattr(keys, "_COMMAND_S_MAX", 0.5)
    path = tmp_path / "command"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)

    with pytest.raises(SetupError, match=message) as caught:
        CommandKeys(SecretStr(str(path))).read()

    said = capfd.readouterr()
    assert "canary" not in str(caught.value) + said.out + said.err


@pytest.mark.parametrize("command", ["/no/such/command", "'open", " "])
def test_a_command_that_cannot_be_run_is_explained(command: str) -> None:
    with pytest.raises(SetupError, match="BANK_PIPELINE_ENCRYPTION_KEY_COMMAND"):
        CommandKeys(SecretStr(command)).read()


def test_keys_have_one_source(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"_FILE and .*_COMMAND say twice"):
        settings(tmp_path, encryption_key_file="keys", encryption_key_command="true")


def test_a_new_key_is_put_first_and_an_old_one_taken_out(tmp_path: Path) -> None:
    """The file keeps its mode; the first key stays whatever is asked."""
    source = file_of(tmp_path, OLD)
    source.path.chmod(0o440)

    source.put_first(NEW)
    assert source.read() == (NEW, OLD)
    assert not source.take_out(key_id_of(NEW))
    assert source.take_out(key_id_of(OLD))
    assert not source.take_out(key_id_of(OLD))

    assert source.read() == (NEW,)
    assert source.path.stat().st_mode & 0o777 == 0o440
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_a_file_that_cannot_be_changed_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a mounted one: it stays as it is, and nothing lies beside it."""
    source = file_of(tmp_path, OLD)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SetupError, match=r"cannot be changed \(Read-only"):
        source.put_first(NEW)

    assert source.read() == (OLD,)
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_keys_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    source = file_of(tmp_path, OLD)
    added = [bytes([number] * 32) for number in range(40, 60)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: FileKeys(source.path, is_ours=False).put_first(key), added))

    assert {*source.read()} == {OLD, *added}
    assert source.read()[-1] == OLD


def test_a_process_that_runs_follows_the_file(tmp_path: Path) -> None:
    """It seals with the new key at once, and opens what others sealed with it."""
    source = file_of(tmp_path, OLD)
    running = Vault(source.read(), source=source)
    before = running.seal(b"text", "row")

    FileKeys(source.path, is_ours=False).put_first(NEW)
    of_another = Vault([NEW, OLD]).seal(b"another text", "row")

    assert running.unseal(of_another, "row") == b"another text"
    assert running.seal(b"text", "row").key_id == key_id_of(NEW)
    assert running.unseal(before, "row") == b"text"


def test_a_process_that_runs_survives_a_file_that_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on with the keys at hand, and says so once per change."""
    source = file_of(tmp_path, NEW, OLD)
    running = Vault(source.read(), source=source)
    before = running.seal(b"text", "row")

    source.path.write_text("nonsense!\n")
    for _ in range(3):
        assert running.unseal(running.seal(b"more", "row"), "row") == b"more"
    source.path.unlink()
    assert running.unseal(before, "row") == b"text"
    assert len([one for one in caplog.records if "go on" in one.message]) == 1

    source.path.write_text(text_of(THIRD))
    source.path.chmod(0o600)
    assert running.seal(b"text", "row").key_id == key_id_of(THIRD)
    assert running.unseal(before, "row") == b"text"


def test_a_key_that_may_not_seal_does_not(tmp_path: Path) -> None:
    """An installation says which may: one that was retired, from a backup, may not."""
    source = file_of(tmp_path, OLD)
    running = Vault(source.read(), source=source)
    asked: list[str] = []

    def refuse(key_id: str) -> bool:
        asked.append(key_id)
        return False

    running.adopt(running.fingerprint_key, refuse)

    source.put_first(NEW)

    assert running.seal(b"text", "row").key_id == key_id_of(OLD)
    assert asked == [key_id_of(NEW)]
    assert running.unseal(Vault([NEW]).seal(b"new", "row"), "row") == b"new"


def test_a_missing_key_asks_a_command_again_but_not_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_of(tmp_path, OLD)
    counted = tmp_path / "counted"
    script = tmp_path / "command"
    script.write_text(f"#!/bin/sh\necho x >> {counted}\ncat {source.path}\n")
    script.chmod(0o700)
    command = CommandKeys(SecretStr(str(script)))
    running = Vault(command.read(), source=command)
    strange = Vault([NEW]).seal(b"text", "row")
    source.path.write_text(text_of(NEW, OLD))

    with pytest.raises(SecretError, match="not ours"):
        running.unseal(strange, "row")
    monkeypatch.setattr(keys, "_ASKED_AGAIN_AFTER_S", 0.0)
    assert running.unseal(strange, "row") == b"text"

    assert counted.read_text() == "x\nx\n"


def test_whoever_needs_a_key_that_another_thread_reads_waits_for_it(tmp_path: Path) -> None:
    """What is sealed with a new key opens in every thread, while the first to see it reads it."""
    is_reading, may_end = threading.Event(), threading.Event()

    class Slow(FileKeys):
        """Has looked at the file, and is not done with it."""

        def read(self) -> tuple[bytes, ...]:
            found = super().read()
            is_reading.set()
            may_end.wait(60)
            return found

    path = file_of(tmp_path, OLD).path
    running = Vault([OLD], source=Slow(path, is_ours=False))
    FileKeys(path, is_ours=False).put_first(NEW)
    of_another = Vault([NEW, OLD]).seal(b"text", "row")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(running.seal, b"text", "row")
        assert is_reading.wait(60)
        second = pool.submit(running.unseal, of_another, "row")
        wait([second], timeout=0.2)  # one that does not wait has failed by now
        may_end.set()
        assert second.result() == b"text"
        assert first.result().key_id == key_id_of(NEW)


def test_threads_may_seal_while_keys_change(tmp_path: Path) -> None:
    source = file_of(tmp_path, OLD)
    running = Vault(source.read(), source=source)
    is_over = threading.Event()

    def work(number: int) -> int:
        count = 0
        while not is_over.is_set():
            text = f"{number} {count}".encode()
            assert running.unseal(running.seal(text, "row"), "row") == text
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        for number in range(20, 60):
            source.put_first(bytes([number] * 32))
        is_over.set()
        assert all(worker.result() for worker in workers)


@pytest.mark.parametrize("change", [lambda text: text[:-8], lambda text: text + "\n" + text])
def test_malformed_keys_are_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(SetupError, match="openssl rand"):
        parse_keys(change(text_of(OLD)), "It")
