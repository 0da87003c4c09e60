"""What an administrator decides about views: an entry that one of them passes over."""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.access import Permission
from domain.acts import MINISTRY, Act
from domain.errors import NotFoundError, ViewNotStoppedError
from domain.views import FollowedView, SkippedBecause
from office.acts import Acts, Done, Envelope, On, translated
from projections.progress import Level, ProgressQueries


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipEntry:
    """Let the present version of a view pass over the entry at which it stopped."""

    view: str
    position: int
    reason: SkippedBecause


class ViewsDesk:
    """Decides about views. Raises the errors of the rules."""

    def __init__(self, acts: Acts, progress: ProgressQueries) -> None:
        self._acts = acts
        self._ledger = acts.ledger
        self._progress = progress

    def skip(self, command: SkipEntry, envelope: Envelope) -> Done:
        """Record that the view passes over the entry. Its runner goes on by itself.

        Raises NotFoundError for no view, ViewNotStoppedError where it did not stop.
        """
        envelope.principal.must_be_allowed(Permission.ADMINISTER)
        with translated():
            level = self._level(command.view)
            view_id = FollowedView.id_of(command.view)
            found = self._ledger.find(FollowedView, view_id)
        if found is not None:
            # No page shows earlier skips, so there is none that could be stale.
            envelope = replace(envelope, if_version=found.etag_version)

        def decide(view: FollowedView | None, act: Act) -> FollowedView:
            if level.failed_position != command.position:
                raise ViewNotStoppedError(
                    view=command.view, stopped_at=level.failed_position
                )
            if view is None:
                return FollowedView.skip(
                    act,
                    view=command.view,
                    view_version=level.version,
                    position=command.position,
                    reason=command.reason,
                )
            view.skip_also(
                act,
                view_version=level.version,
                position=command.position,
                reason=command.reason,
            )
            return view

        return self._acts.on(
            envelope,
            self._acts.command(envelope, command),
            On(
                thing_id=view_id,
                load=lambda: found,
                actor=lambda _: envelope.principal.actor,
                centre=lambda _: MINISTRY,
            ),
            decide,
        )

    def _level(self, view: str) -> Level:
        for level in self._progress.levels():
            if level.view == view:
                return level
        raise NotFoundError(thing="view")
