"""How an archive is obtained by hand, where a program may not download it."""

from __future__ import annotations

from repro.data import cache
from repro.data.manifest import Manifest


def by_hand(manifest: Manifest) -> str:
    """Return how to obtain an archive by hand, and where to put it."""
    ways = []
    for choice in [one for read in manifest.read.values() for one in read.choices()]:
        own = [manifest.members[name] for name in choice]
        packed = {member.container or manifest.archive.file_name for member in own} - {""}
        inside = [one for one in own if not one.container and manifest.archive.stated()]
        vouched = all(
            member.stated() or member in inside or cache.is_own(manifest, name)
            for name, member in zip(choice, own, strict=True)
        )
        what = ", or from it ".join(filter(None, [" and ".join(sorted(packed)), ", ".join(choice)]))
        then = f"repro fetch {manifest.id} --from FOLDER" + ("" if vouched else " --unverified")
        ways.append(f"Put {what} into a folder, then: {then}")
    return "\n  ".join([manifest.archive.manual, *dict.fromkeys(ways)])
