"""Answers that wait for the last one of their update."""

import zlib
from pathlib import Path

import pytest

from bank_pipeline.providers import waiting
from bank_pipeline.providers.waiting import WaitingBodies

SECRET = b"IBAN DE89370400440532013000"


def bodies_of(count: int) -> list[bytes]:
    return [b"%d %s " % (number, SECRET) * 50 for number in range(count)]


@pytest.mark.parametrize("held_bytes_max", [0, 150, 10_000_000])
def test_bodies_come_out_as_they_went_in_as_often_as_wanted(
    monkeypatch: pytest.MonkeyPatch, held_bytes_max: int
) -> None:
    monkeypatch.setattr(waiting, "HELD_BYTES_MAX", held_bytes_max)
    bodies, waits = bodies_of(20), WaitingBodies()
    for body in bodies:
        waits.append(body)
    for _ in range(2):
        assert [waits[number] for number in range(len(bodies))] == bodies
    with pytest.raises(IndexError):
        waits[len(bodies)]


def test_what_is_on_disk_has_no_name_and_nobody_can_read_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(waiting, "HELD_BYTES_MAX", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bodies, waits = bodies_of(3), WaitingBodies()
    for body in bodies:
        waits.append(body)

    [file] = open_files_in(tmp_path)
    assert [*tmp_path.iterdir()] == []
    written = file.read_bytes()
    assert len(written) > sum(len(zlib.compress(body, 1)) for body in bodies)
    assert not any(zlib.compress(body, 1)[2:-4] in written for body in bodies)
    del waits
    assert open_files_in(tmp_path) == []


def open_files_in(folder: Path) -> list[Path]:
    """Return what this process has open there, by its descriptors."""
    descriptors = [*Path("/proc/self/fd").iterdir()]
    return [one for one in descriptors if one.is_symlink() and folder in one.readlink().parents]
