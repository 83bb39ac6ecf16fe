"""Becoming the user that the configuration names, before anything is opened or imported."""

from __future__ import annotations

import grp
import os
import pwd

from taskqueue.errors import ConfigurationError
from taskqueue.settings import Settings


def drop(settings: Settings) -> None:
    """Become `[supervisor] user` and `group`, and set `umask`. Raises ConfigurationError if that cannot be."""
    wanted, where = settings.supervisor, f"{settings.file} [supervisor]"
    if wanted.umask is not None:
        os.umask(wanted.umask)
    user = _user(wanted.user, where) if wanted.user else None
    group = _group(wanted.group, where) if wanted.group else user.pw_gid if user else None
    if (user is None or user.pw_uid == os.geteuid()) and (group is None or group == os.getegid()):
        return
    try:
        if group is not None:
            os.setgroups([group])
            os.setgid(group)
        if user is not None:
            os.initgroups(user.pw_name, os.getgid())
            os.setuid(user.pw_uid)
            os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    except PermissionError:
        raise ConfigurationError(
            f"{where}: only root can start it as user {wanted.user or '(the same)'!r}, group {wanted.group!r}; "
            "start it as that user, and leave out both keys"
        ) from None


def _user(name: str, where: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(f"{where} user: there is no user {name!r} on this host") from None


def _group(name: str, where: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError(f"{where} group: there is no group {name!r} on this host") from None
