"""Unpacks archives that somebody else made: nothing lands outside, nothing fills the disk.

Python's own filter (PEP 706) is not in every 3.11 and was got around by chains of links (CVE-2025-4517), so
each member is placed here by what it may be: a file, a folder, or a link that stays inside.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from sagemaker_local.expansion import ALLOWED_BYTES, TIMES_MOST

MEMBERS_MAXIMUM = 200_000
CHUNK_BYTES = 1024 * 1024
EXTENSION_MAXIMUM_BYTES = 1024 * 1024
EXTENSIONS = frozenset(
    [
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    ]
)


class UnsafeArchive(tarfile.TarError):
    """The archive has a member that leaves the directory, is no file, or is too much."""


class _Header(tarfile.TarInfo):
    """A header whose extension, which Python reads into memory, is of a sensible size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in EXTENSIONS and header.size > EXTENSION_MAXIMUM_BYTES:
            raise UnsafeArchive(f"the archive has an extended header of {header.size} bytes")
        return header


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a tar archive, compressed or not.

    Args:
        archive: The archive.
        directory: Where its members go; made when missing.

    Raises:
        UnsafeArchive: a member cannot be placed; those before it are there.
        tarfile.TarError, EOFError, OSError: it is no whole archive, or the disk does not take it.
    """
    allowed = max(ALLOWED_BYTES, TIMES_MOST * archive.stat().st_size)
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, tarinfo=_Header) as tar:
        for number, member in enumerate(tar, start=1):
            if number > MEMBERS_MAXIMUM:
                raise UnsafeArchive(f"the archive has more than {MEMBERS_MAXIMUM} members")
            allowed -= member.size
            if allowed < 0:
                raise UnsafeArchive(
                    f"the archive grows to more than {TIMES_MOST} times its size at {member.name!r}"
                )
            _place(tar, member, directory)


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    target = directory.joinpath(*_parts(member.name))
    if target == directory:
        if not member.isdir():
            raise UnsafeArchive(f"{member.name!r} stands for the archive's root and is no folder")
        return
    _make_folders(target.parent, directory)
    if member.isdir():
        _make_folders(target, directory)
        return
    if target.is_symlink() or target.is_file():
        target.unlink()  # a later member replaces an earlier one, as tar does it
    elif target.is_dir():
        raise UnsafeArchive(f"{member.name!r} is a folder and something else")
    if member.isreg():
        source = tar.extractfile(member)
        if source is None:
            raise UnsafeArchive(f"{member.name!r} has no content")
        with source, target.open("xb") as file:
            while data := source.read(CHUNK_BYTES):
                file.write(data)
            if file.tell() != member.size:
                raise EOFError(f"the archive ends within {member.name!r}")
        target.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.issym():
        target.symlink_to(_inside(member, target, directory))
    elif member.islnk():
        origin = directory.joinpath(*_parts(member.linkname))
        _check_folders(origin.parent, directory)
        if origin.is_symlink() or not origin.is_file():
            raise UnsafeArchive(f"{member.name!r} links to {member.linkname!r}, which is no file before it")
        os.link(origin, target, follow_symlinks=False)
    else:
        raise UnsafeArchive(f"{member.name!r} is no file, folder or link")


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UnsafeArchive(f"{name!r} leads out of the archive's root")
    return path.parts


def _make_folders(folder: Path, directory: Path) -> None:
    """Make a folder and those above it, none of which may be a link."""
    for each in reversed([folder, *folder.parents]):
        if each == directory or not each.is_relative_to(directory):
            continue
        if each.is_symlink() or (each.exists() and not each.is_dir()):
            raise UnsafeArchive(f"{str(each.relative_to(directory))!r} is a folder and something else")
        each.mkdir(exist_ok=True)


def _check_folders(folder: Path, directory: Path) -> None:
    for each in [folder, *folder.parents]:
        if each == directory:
            return
        if each.is_symlink():
            raise UnsafeArchive(
                f"{str(each.relative_to(directory))!r} is a link, and a link leads through it"
            )


def _inside(member: tarfile.TarInfo, target: Path, directory: Path) -> str:
    """Where a link may point: up only at its beginning, before any other link, and never past the root."""
    path = PurePosixPath(member.linkname)
    depth = len(target.parent.relative_to(directory).parts)
    ups = next((n for n, part in enumerate(path.parts) if part != ".."), len(path.parts))
    if path.is_absolute() or not path.parts or ups > depth or ".." in path.parts[ups:]:
        raise UnsafeArchive(f"{member.name!r} links to {member.linkname!r}, which may be outside")
    return member.linkname
