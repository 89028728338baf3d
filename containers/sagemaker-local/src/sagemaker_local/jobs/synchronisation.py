"""Directories whose files go to S3 while the program runs: checkpoints, tensors, continuous outputs.

The rule, for SageMaker only promises to sync: a file is uploaded when two looks, a second apart, found it
unchanged (size, modification time, inode), and the upload counts only if it is still so when it has been
read. So every object is a whole file as the program left it for at least a second, and a reader of S3 never
sees half of one; files are taken in the order of their modification times, so that a file which names others
comes after them. When the program ended by itself what it left is uploaded at once. When it was killed, files
that changed in its last second are not: they may be half written, and the earlier object is the better
checkpoint. That second ends when the program was told to end, or was seen to have ended; how long it takes
after that until all is cleared away says nothing of its files. Files that the program removes stay in S3.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_local.errors import AwsError
from sagemaker_local.jobs.host import Host
from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import client_error
from sagemaker_local.jobs.outputs import files, to_its_end
from sagemaker_local.jobs.run import JobRun
from sagemaker_local.s3.records import ObjectAttributes

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0

State = tuple[int, int, int]
"""Size, modification time in ns, inode: what of a file changes when it is written."""


@dataclass(slots=True)
class SyncedFolder:
    """One directory and where it goes.

    Attributes:
        directory: On the machine.
        destination: The prefix in S3.
        host: Whose program writes there.
        uploaded: File → its state when it was uploaded, or came from S3.
        seen: File → its state at the last look.
    """

    directory: Path
    destination: Location
    host: Host
    uploaded: dict[Path, State] = field(default_factory=dict)
    seen: dict[Path, State] = field(default_factory=dict)

    def note(self) -> None:
        """What is there now needs no upload: it came from S3."""
        self.uploaded = self._states()

    def changed(self) -> list[tuple[Path, State]]:
        """Files that are not in S3 as they are, oldest first."""
        states = self._states()
        return sorted(
            ((path, state) for path, state in states.items() if self.uploaded.get(path) != state),
            key=lambda entry: entry[1][1],
        )

    def settled(self) -> list[tuple[Path, State]]:
        """Those of :meth:`changed` that were the same at the last look.

        None once the program has ended: then they rest because nobody is left to finish them.
        """
        changed = self.changed()
        if self.host.program_ended:
            return []
        quiet = [(path, state) for path, state in changed if self.seen.get(path) == state]
        self.seen = dict(changed)
        return quiet

    def _states(self) -> dict[Path, State]:
        found = {}
        for path in files(self.directory):
            with contextlib.suppress(FileNotFoundError):
                found[path] = _state(os.stat(path))
        return found


class Synchronisation:
    """Keeps a job's folders in S3 up to date.

    Args:
        run: The job.
        folders: What is synchronised.
    """

    def __init__(self, run: JobRun, folders: Sequence[SyncedFolder]) -> None:
        self._run = run
        self._folders = folders
        self._failed: set[str] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Synchronise while the program runs; a failure is logged, and tells at :meth:`finish`."""
        task = asyncio.create_task(self._follow()) if self._folders else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def finish(self, *, killed_at: float | None = None) -> None:
        """Upload what is left when the program has ended.

        Args:
            killed_at: When it was ended, if not by itself: its last files may be half written.

        Raises:
            JobFailed: the bucket is not there.
        """
        await to_its_end(lambda given_up: self._upload_rest(killed_at, given_up))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            # Shielded: an upload that has begun is finished, so that nobody else takes the folder meanwhile.
            work = asyncio.create_task(asyncio.to_thread(self._upload_settled))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await work
                raise

    def _upload_settled(self) -> None:
        for folder in self._folders:
            for path, state in folder.settled():
                try:
                    self._upload(folder, path, state)
                except AwsError as error:
                    self._tell(f"{folder.destination}: {error.code}: {error.message}")
                except OSError as error:
                    self._tell(f"{path.name}: {error.strerror}")

    def _upload_rest(self, killed_at: float | None, given_up: threading.Event) -> None:
        newest_ns = None if killed_at is None else (killed_at - INTERVAL_S) * 1e9
        for folder in self._folders:
            for path, state in folder.changed():
                if given_up.is_set():
                    return
                if newest_ns is not None and state[1] > newest_ns:
                    self._tell(
                        f"{path.name} is not uploaded: killed, the program may have left it half written"
                    )
                    continue
                try:
                    self._upload(folder, path, state)
                except AwsError as error:
                    raise client_error(
                        f"Failed to upload {folder.destination}: {error.code}: {error.message}"
                    ) from error

    def _upload(self, folder: SyncedFolder, path: Path, state: State) -> None:
        """Upload a file as it is; nothing comes of it when it changes meanwhile."""
        target = folder.destination.join(*path.relative_to(folder.directory).parts)
        objects = self._run.objects
        objects.bucket(target.bucket)
        writer = objects.writer()
        try:
            with path.open("rb") as file:
                writer.take_file(file)
                unchanged = _state(os.fstat(file.fileno())) == state and _is(path, state)
            if not unchanged:
                writer.abort()
                return
            blob = writer.finish()
        except FileNotFoundError:
            writer.abort()
            return
        except BaseException:
            writer.abort()
            raise
        objects.commit(target.bucket, target.key, blob, ObjectAttributes())
        folder.uploaded[path] = state

    def _tell(self, what: str) -> None:
        if what not in self._failed:
            self._failed.add(what)
            logger.warning("%s '%s': %s", self._run.kind.words, self._run.name, what)


def _state(stat: os.stat_result) -> State:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _is(path: Path, state: State) -> bool:
    try:
        return _state(os.stat(path)) == state
    except FileNotFoundError:
        return False
