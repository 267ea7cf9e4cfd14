"""What a roster could not say and how the district's defaults filled it, in words for people."""

from typing import Any

from django.utils.translation import gettext as _

from messenger.models.contact import ContactReason, Device


def describe_defaults(used: dict[str, Any]) -> list[str]:
    """One sentence a default, from `RosterImport.defaults_used`; nothing for a run without any."""
    if not used:
        return []
    said = []
    if not used["manifest"]:
        said.append(_("There was no manifest: version, bulk or delta were taken from the files."))
    if used["assumed_year"]:
        said.append(
            _("No session gave the school year: %(year)s was assumed.")
            % {"year": used["assumed_year"]}
        )
    said.append(_("A number in “sms” became %(device)s.") % {"device": _device(used["sms_device"])})
    said.append(
        _(
            "A “phone” that guardians of the same student share became their %(shared)s, any other"
            " became %(other)s."
        )
        % {"shared": _device(used["shared_phone_device"]), "other": _device(used["phone_device"])}
    )
    mark = _("with") if used["messenger_mark"] else _("without")
    said.append(_("A new guardian link started %(mark)s the Messenger mark.") % {"mark": mark})
    for key, words in (
        ("voice_reasons", _("A new phone is called for: %(reasons)s.")),
        ("email_reasons", _("A new email address is written to for: %(reasons)s.")),
        ("text_reasons", _("A new cell phone is texted for: %(reasons)s.")),
    ):
        said.append(words % {"reasons": _reasons(used[key])})
    said += [
        _("%(column)s was read as: %(key)s.") % {"column": column, "key": key}
        for key, column in used["metadata_columns"].items()
    ]
    return said


def _device(name: str) -> str:
    return str(Device(name).label)


def _reasons(mask: int) -> str:
    """The reasons of a mask, the short way round."""
    every = list(ContactReason)
    on = [str(reason.label) for reason in every if mask & reason.bit]
    off = [str(reason.label) for reason in every if not mask & reason.bit]
    if not on:
        return _("nothing by itself")
    if not off:
        return _("every reason")
    if len(off) < len(on):
        return _("every reason but %(reasons)s") % {"reasons": ", ".join(off)}
    return ", ".join(on)
