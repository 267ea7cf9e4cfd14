"""The form that takes a roster file. What is in it is judged by the importer, never here."""

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

LARGEST_MEGABYTES = 512  # zipped; a district of a million people takes about 150


class RosterForm(forms.Form):
    """One OneRoster bundle as a zip."""

    file = forms.FileField(
        label=_("Roster file"),
        max_length=255,
        help_text=_("A OneRoster 1.1 or 1.2 CSV bundle (bulk or delta), as one .zip file."),
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        error_messages={
            "required": _("Choose a file."),
            "empty": _("This file is empty. Choose the zip that your student system exported."),
        },
    )

    dry_run = forms.BooleanField(
        label=_("Only look: change nothing yet"),
        required=False,
        help_text=_("Counts what would change and lists every problem. You can go on from there."),
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if file.size is None or file.size > LARGEST_MEGABYTES * 1024 * 1024:
            raise forms.ValidationError(
                _("The file is larger than %(size)s MB.") % {"size": LARGEST_MEGABYTES}
            )
        start = file.read(4)
        file.seek(0)
        if start != b"PK\x03\x04":
            raise forms.ValidationError(
                _("This is not a zip file. Choose the zip that your student system exported.")
            )
        return file
