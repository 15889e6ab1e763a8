"""What can go wrong with exports, backups and restores; a class per cause, the docstring is the default message."""

from __future__ import annotations

from goldenproject.kit.errors import BadInput, Conflict, GoldenError, NotFound, Unavailable


class NoBackup(NotFound):
    """There is no backup in this folder."""

    code = "no_backup"


class InvalidBackup(BadInput):
    """The backup does not have the structure of a golden backup."""

    code = "invalid_backup"


class DamagedBackup(BadInput):
    """The backup is truncated or was changed: a checksum does not match."""

    code = "damaged_backup"


class NewerBackup(BadInput):
    """The backup was written in a newer format than this version reads."""

    code = "newer_backup"


class BackupInUse(Conflict):
    """Another process is using this backup folder."""

    code = "backup_in_use"


class DiskFull(GoldenError):
    """The disk is full."""

    code = "disk_full"
    http_status = 507


class UnwritableFolder(GoldenError):
    """The backup cannot be written to this folder."""

    code = "unwritable_folder"


class RestoreConflict(Conflict):
    """The database already holds what the backup would add."""

    code = "restore_conflict"


class RestoreRefused(Conflict):
    """The content of the backup has findings, and --strict refuses it."""

    code = "restore_refused"


class RestoreFailed(GoldenError):
    """What was restored does not prove to be what was saved; nothing was changed."""

    code = "restore_failed"


class DumpFailed(GoldenError):
    """PostgreSQL's own pg_dump or pg_restore failed."""

    code = "dump_failed"


class WrongKey(BadInput):
    """The key or passphrase does not open this archive."""

    code = "wrong_backup_key"


class MissingKey(BadInput):
    """No usable key or passphrase for encrypted archives is in the environment."""

    code = "missing_backup_key"


class UnknownDestination(BadInput):
    """This is no place that backups can be put to or fetched from."""

    code = "unknown_destination"


class MissingDriver(GoldenError):
    """The Python package that reaches this kind of destination is not installed."""

    code = "missing_driver"


class DestinationFailed(Unavailable):
    """The destination did not do what was asked of it."""

    code = "destination_failed"


class InvalidRetention(BadInput):
    """The rule of what to keep cannot be understood."""

    code = "invalid_retention"


class ScratchFailed(GoldenError):
    """The restore drill in a throw-away database could not be done."""

    code = "scratch_failed"


class GitFailed(GoldenError):
    """The backup could not be committed to git."""

    code = "git_failed"


class NotConfirmed(BadInput):
    """What deletes everything that is there must be confirmed."""

    code = "not_confirmed"


class AnotherBackup(Conflict):
    """The backup is not the one that was looked at."""

    code = "another_backup"


class RestoredWithErrors(GoldenError):
    """The backup was restored, and the database does not verify afterwards."""

    code = "restored_with_errors"


class DrillFailed(GoldenError):
    """The backup does not restore, or what it restores does not verify; this database was left alone."""

    code = "drill_failed"


class NotTheOwner(GoldenError):
    """The database role of this process does not own the golden tables."""

    code = "not_the_owner"


class TablesInUse(Conflict):
    """Others work with the golden data, so a restore cannot have it for itself."""

    code = "tables_in_use"


class LabelFileRefused(BadInput):
    """The file of annotations has rows that cannot be brought in; nothing was changed."""

    code = "label_file_refused"
